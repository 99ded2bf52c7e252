"""Episodes without an engine: a random walk, random fills and an account kept the slow way, one fill at a time."""

from __future__ import annotations

import numpy as np

from evaluation.episodes import Episodes
from sim.types import FILL, LOTS_PER_CONTRACT, NO, PX_ONE, SECOND_NS, YES

START_UUSD = 10_000_000_000
SIZES = (5, 10, 25, 50, 100)
ACTIONS = ("hold", *(f"{verb} {leg} {size}" for verb in ("buy", "sell") for leg in ("yes", "no") for size in SIZES))


def made_up(count=32, steps=60, *, seed=0, skill=0.0, maker=False, rate=0.2, settle=True, tapes=0, signal=True):
    """`count` episodes of up to `steps` steps; `skill` leans trades towards where the mid is going."""
    random = np.random.default_rng(seed)
    trade = np.random.default_rng([seed, 7, int(skill * 100), maker])
    e = np.arange(count)
    lengths = np.full(count, steps)
    shape = (count, steps + 1)
    mid2, elapsed = np.zeros(shape, np.int32), np.zeros(shape, np.int64)
    net, equity = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    latent, forecast = np.zeros(shape, np.int32), np.full(shape, -1, np.int32)
    action = np.full((count, steps), -1, np.int16)
    settled = np.zeros(count, bool)
    payout, cash, fees = np.full(count, -1), np.zeros(count, np.int64), np.zeros(count, np.int64)
    unrealised, start_ns = np.zeros(count, np.int64), np.zeros(count, np.int64)
    sent, filled = np.zeros(count, np.int64), np.zeros(count, np.int64)
    messages, rows, fill_e, fill_s = np.zeros(count, np.int64), [], [], []
    for i in e:
        settled[i] = settle and random.random() < 0.8
        lengths[i] = steps if settled[i] else random.integers(steps // 2, steps + 1)
        n = lengths[i]
        start_ns[i] = (1_700_000_000 + 9000 * i) * SECOND_NS
        elapsed[i, : n + 1] = np.arange(n + 1) * SECOND_NS
        belief = random.uniform(0.2, 0.8) + np.cumsum(random.normal(0, 0.006, n + 1))
        belief = np.clip(belief, 0.03, 0.97)
        latent[i, : n + 1] = belief * 1e6
        if signal:
            forecast[i, : n + 1] = np.clip(belief + random.normal(0, 0.01, n + 1), 0.01, 0.99) * 1e6
        mid2[i, : n + 1] = np.round(belief * 100) * 200 + random.integers(-100, 101, n + 1)
        if settled[i]:
            payout[i] = PX_ONE if random.random() < belief[-1] else 0
        spent, lots, equity[i, 0] = 0, 0, START_UUSD
        for t in range(n):
            action[i, t] = 0
            if trade.random() < rate:
                ahead = belief[min(t + 8, n)] - mid2[i, t] / 2 / PX_ONE
                side = np.sign(ahead) if trade.random() < skill else trade.choice([-1, 1])
                size = trade.integers(len(SIZES))
                buys_yes = side > 0
                closes = lots * side < 0
                action[i, t] = 1 + 10 * closes + 5 * (not buys_yes if not closes else buys_yes) + size
                qty = int(side) * (SIZES[size] * LOTS_PER_CONTRACT - int(trade.integers(2)))
                sent[i] += abs(qty)
                messages[i] += 1
                if trade.random() < (0.4 if maker else 0.97):
                    px = int(mid2[i, t] // 2 + (-50 if maker else 50) * side)
                    fee = 0 if maker else abs(qty) * px * (PX_ONE - px) * 7 // 100 // PX_ONE
                    row = np.zeros(1, FILL)
                    row["ns"] = start_ns[i] + elapsed[i, t] + SECOND_NS // 20
                    row["qty"], row["fee_uusd"], row["px"], row["order_id"] = qty, fee, px, messages[i]
                    row["mid2_px"] = row["sent_mid2_px"] = mid2[i, t]
                    row["latent_ppm"], row["maker"], row["leg"] = latent[i, t], maker, YES if buys_yes else NO
                    rows.append(row)
                    fill_e.append(i)
                    fill_s.append(t)
                    spent += qty * px
                    lots += qty
                    fees[i] += fee
                    filled[i] += abs(qty)
            net[i, t + 1] = lots
            equity[i, t + 1] = START_UUSD - fees[i] - spent + (lots * int(mid2[i, t + 1])) // 2
        if settled[i]:
            net[i, n] = 0
            equity[i, n] = START_UUSD - fees[i] - spent + lots * int(payout[i])
        else:
            unrealised[i] = (lots * int(mid2[i, n])) // 2 - spent
        cash[i] = equity[i, n] - (0 if settled[i] else (lots * int(mid2[i, n])) // 2)
        for path in (mid2, elapsed, net, equity, latent, forecast):
            path[i, n + 1 :] = path[i, n]
    fill = np.concatenate(rows) if rows else np.zeros(0, FILL)
    final = equity[e, lengths]
    return Episodes(
        slot=e, number=e, episode=np.zeros(count, np.int64), row=np.zeros(count, np.int64),
        tape=e // max(1, count // tapes) if tapes else np.full(count, -1), start_ns=start_ns, steps=lengths,
        start_uusd=np.full(count, START_UUSD), final_uusd=final, cash_uusd=cash, unrealised_uusd=unrealised,
        reward_uusd=final - START_UUSD, fees_uusd=fees, messages=messages, rejects=np.zeros(count, np.int64),
        sent_qty=sent, filled_qty=filled, settled=settled, ruined=np.zeros(count, bool), payout_px=payout,
        costs=np.zeros((count, 2)), elapsed_ns=elapsed, equity_uusd=equity, mid2_px=mid2, net_qty=net,
        signal_ppm=forecast, latent_ppm=latent, action=action, fill=fill,
        fill_episode=np.array(fill_e, np.int64), fill_step=np.array(fill_s, np.int64),
        market=e // max(1, count // tapes) if tapes else np.full(count, -1),
        market_names=tuple(f"MARKET-{tape}" for tape in range(tapes)), cost_names=("drawdown", "kill"),
        action_names=ACTIONS,
    )  # fmt: skip


def hand_made(mids, fills=(), *, payout=None, signal_ppm=-1, latent_ppm=-1):
    """One episode of one-second steps: mids in price units; fills (seconds, lots, price, fee, maker)."""
    steps = len(mids) - 1
    row = np.zeros(len(fills), FILL)
    mid2 = 2 * np.array([mids], np.int32)
    elapsed = np.arange(steps + 1)[None, :] * SECOND_NS
    net = np.zeros((1, steps + 1), np.int64)
    equity = np.full((1, steps + 1), START_UUSD)
    cash = START_UUSD
    step = [min(int(seconds), steps - 1) for seconds, *_ in fills]
    for index, (seconds, lots, px, fee, maker) in enumerate(fills):
        row[index]["ns"], row[index]["qty"], row[index]["px"] = round(seconds * SECOND_NS), lots, px
        row[index]["fee_uusd"], row[index]["maker"] = fee, maker
        row[index]["mid2_px"] = row[index]["sent_mid2_px"] = mid2[0, step[index]]
        net[0, step[index] + 1 :] += lots
        cash -= lots * px + fee
        equity[0, step[index] + 1 :] -= lots * px + fee
    equity += net * mid2 // 2
    held = int(net[0, -1])
    if payout is not None:
        equity[0, -1] += held * payout - held * int(mid2[0, -1]) // 2
        net[0, -1] = 0
    one = np.array([equity[0, -1]])
    return Episodes(
        slot=np.zeros(1, int), number=np.zeros(1, int), episode=np.zeros(1, int), row=np.zeros(1, int),
        tape=np.full(1, -1), market=np.full(1, -1), market_names=(),
        start_ns=np.zeros(1, int), steps=np.array([steps]), start_uusd=np.full(1, START_UUSD),
        final_uusd=one, cash_uusd=np.array([cash]), unrealised_uusd=np.zeros(1, int), reward_uusd=one - START_UUSD,
        fees_uusd=np.array([row["fee_uusd"].sum()]), messages=np.full(1, len(fills)), rejects=np.zeros(1, int),
        sent_qty=np.array([2 * np.abs(row["qty"]).sum()]), filled_qty=np.array([np.abs(row["qty"]).sum()]),
        settled=np.array([payout is not None]), ruined=np.zeros(1, bool),
        payout_px=np.array([-1 if payout is None else payout]), costs=np.zeros((1, 0)), elapsed_ns=elapsed,
        equity_uusd=equity, mid2_px=mid2, net_qty=net, signal_ppm=np.full((1, steps + 1), signal_ppm),
        latent_ppm=np.full((1, steps + 1), latent_ppm), action=np.zeros((1, steps), np.int16), fill=row,
        fill_episode=np.zeros(len(fills), np.int64), fill_step=np.array(step, np.int64), cost_names=(),
        action_names=("hold",),
    )  # fmt: skip
