"""What one step changed, measured once: rewards and costs are named numbers read off it."""

from __future__ import annotations

import numpy as np

from sim.kernel import inner, kernel

_PPM_PER_PX = 100

CHANGE = np.dtype(
    [
        ("pnl_uusd", "<i8"),  # change of equity; over an episode it sums to final equity less starting cash
        ("edge_uusd", "<i8"),  # what the step's fills gain if the forecast is right
        ("drawdown_uusd", "<i8"),  # increase of the episode's largest drawdown
        ("net_qty", "<i8"),  # YES lots less NO lots held after the step
        ("dt_ns", "<i8"),  # market time that passed
        ("messages", "<i8"),  # orders and cancels sent
        ("rejects", "<i8"),  # messages refused, and actions that could not be sent
        ("kill", "<i8"),  # 1 in the step in which the drawdown first passed the limit
    ]
)


@inner
def edge(account, market):
    """Micro-dollars that the step's fills gain if the forecast is right, fees paid; 0 without a forecast."""
    if market["signal_ppm"] < 0:
        return 0
    total = 0
    for row in range(account["n_fills"]):
        fill = account["fills"][row]
        total += fill["qty"] * (market["signal_ppm"] - _PPM_PER_PX * fill["px"]) // _PPM_PER_PX - fill["fee_uusd"]
    return total


@kernel
def measure(accounts, markets, memory, rejects, kill_share, first, last, changes):
    """Fill ``changes`` CHANGE ``(N,)`` from the state after the step and the memory of the last one, then update that.

    ``rejects`` int32 ``(N,)``: the decoder's reasons; where it had none, the engine's last one is written in.
    ``kill_share``: drawdown, as a share of the starting cash, that counts as the kill.
    """
    past = memory.past
    for env in range(first, last):
        account, position, before = accounts[env], markets[env]["position"], past[env]
        change = changes[env]
        equity = account["equity_uusd"]
        drawdown = account["peak_uusd"] - equity
        change["pnl_uusd"] = equity - before["equity_uusd"]
        change["drawdown_uusd"] = max(0, drawdown - before["drawdown_uusd"])
        change["net_qty"] = position["yes_qty"] - position["no_qty"]
        change["edge_uusd"] = edge(account, markets[env])
        change["dt_ns"] = account["now_ns"] - before["now_ns"]
        change["messages"] = account["n_messages"]
        change["rejects"] = account["n_rejects"]
        if rejects[env] != 0:
            change["rejects"] += 1
        else:
            rejects[env] = account["last_reject"]
        change["kill"] = 0
        if before["killed"] == 0 and drawdown > kill_share * account["start_uusd"]:
            change["kill"] = 1
            before["killed"] = 1
        before["equity_uusd"] = equity
        before["drawdown_uusd"] = max(drawdown, before["drawdown_uusd"])
        before["now_ns"] = account["now_ns"]
