"""What one step changed, measured once: rewards and costs are named numbers read off it."""

from __future__ import annotations

import numpy as np

from sim.kernel import inner, kernel

_PPM_PER_PX = 100

CHANGE = np.dtype(
    [
        ("pnl_uusd", "<i8"),  # change of equity; over an episode it sums to final equity less starting cash
        ("edge_uusd", "<i8"),  # what the step's fills gain if the forecasts are right
        ("drawdown_uusd", "<i8"),  # increase of the episode's largest drawdown
        ("net_qty", "<i8"),  # abs(YES lots less NO lots) held after the step, summed over the markets
        ("left_qty", "<i8"),  # the same in the step that ends the episode, else 0; see `rest`
        ("dt_ns", "<i8"),  # market time that passed
        ("messages", "<i8"),  # orders and cancels sent
        ("rejects", "<i8"),  # messages refused, and actions that could not be sent
        ("kill", "<i8"),  # 1 in the step in which the drawdown first passed the limit, or a kill switch tripped
        ("intervention", "<i8"),  # orders that the shield changed or refused; written by its own stage
        # of reward terms that remember, see envs.shaping; written where they are chosen
        ("anchor", "<f8"),  # growth of the potentials
        ("expansion", "<f8"),
        ("violation", "<f8"),
        ("predictability", "<f8"),  # by how much the step's action was predicted too well
        ("sharpe", "<f8"),  # growth of the Sharpe ratio
    ]
)


@inner
def edge(account, markets):
    """Micro-dollars that the step's fills gain if their markets' forecasts are right, fees paid; 0 without one."""
    total = 0
    for row in range(account["n_fills"]):
        fill = account["fills"][row]
        forecast = markets[fill["market"]]["signal_ppm"]
        if forecast >= 0:
            total += fill["qty"] * (forecast - _PPM_PER_PX * fill["px"]) // _PPM_PER_PX - fill["fee_uusd"]
    return total


@inner
def _refused(account, rejects, slot, width):
    """How many actions could not be sent; with one market the venue's last reason fills in where there was none."""
    unsent = 0
    for index in range(width):
        unsent += rejects[slot + index] != 0
    if width == 1 and unsent == 0:
        rejects[slot] = account["last_reject"]
    return unsent


@kernel
def measure(accounts, markets, past, rejects, kill_share, first, last, changes):
    """Fill ``changes`` CHANGE ``(N,)`` from the state after the step and ``past`` of the last one, then update that.

    ``rejects`` int32 ``(N x M,)``: the decoder's reasons; with one market, where it had none, the engine's last one is
    written in. ``kill_share``: drawdown, as a share of the starting cash, that counts as the kill.
    """
    width = len(markets) // len(accounts)
    for env in range(first, last):
        account, before, change = accounts[env], past[env], changes[env]
        slot = env * width
        equity = account["equity_uusd"]
        drawdown = account["peak_uusd"] - equity
        change["pnl_uusd"] = equity - before["equity_uusd"]
        change["drawdown_uusd"] = max(0, drawdown - before["drawdown_uusd"])
        held = 0
        for index in range(width):
            position = markets[slot + index]["position"]
            held += abs(position["yes_qty"] - position["no_qty"])
        change["net_qty"] = held
        change["left_qty"] = held if account["done"] == 1 else 0
        change["edge_uusd"] = edge(account, markets[slot : slot + width]) if account["n_fills"] > 0 else 0
        change["dt_ns"] = account["now_ns"] - before["now_ns"]
        change["messages"] = account["n_messages"]
        change["rejects"] = account["n_rejects"] + _refused(account, rejects, slot, width)
        change["kill"] = 0
        if before["killed"] == 0 and drawdown > kill_share * account["start_uusd"]:
            change["kill"] = 1
            before["killed"] = 1
        before["equity_uusd"] = equity
        before["drawdown_uusd"] = max(drawdown, before["drawdown_uusd"])
        before["now_ns"] = account["now_ns"]


@inner
def rest(awake, first, last, changes):
    """Environments that are not ``awake`` bool ``(N,)``, whose episode had ended before this step, end nothing now."""
    for env in range(first, last):
        if not awake[env]:
            changes[env]["left_qty"] = 0
