"""Random batches: the same tapes, rows and wishes for the engine and for the reference, compared after every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from reference.compare import as_intents, broken_laws, differences, engine_view, unlike
from reference.dice import Dice
from reference.engine import ReferenceEngine, Setting
from reference.feed import feed_of
from reference.fees import Schedule
from reference.market import Venue
from reference.random_orders import Trader
from reference.random_tapes import random_tape
from reference.recording import Recording, record
from sim.engine import Engine
from sim.feed import hide_feeds, show_feeds
from sim.scenarios import Place, Scenario
from sim.scenarios.row import ROW, make_rows
from sim.tape import Tape
from sim.types import FILL_MODELS

# what the venues' own rules say, said again, and the fees of the synthetic market
VENUES = {
    "kalshi": (
        Venue(netting=True, min_qty=1, min_take=0, lead_ns=1, early_ns=0, amends=True),
        Schedule("kalshi", 70_000, 0, 100),
    ),
    "polymarket": (
        Venue(netting=False, min_qty=500, min_take=10**6, lead_ns=180 * 10**9, early_ns=60 * 10**9, amends=False),
        Schedule("polymarket", 50_000, 0, 0),
    ),
}


def random_rows(dice: Dice, count: int) -> np.ndarray:
    """Scenario rows with delays around the step, so that messages cross each other and pile up."""
    pick = lambda *values: np.array([dice.pick(values) for _ in range(count)], float)  # noqa: E731
    return make_rows(
        count, order_delay_ms=pick(0, 10, 50, 300, 900), cancel_delay_ms=pick(0, 10, 50, 400, 1300),
        cancel_rule=pick(0, 1, 1, 2, 3, 4), cancel_power=pick(0.7, 1.7), late_print_ms=pick(0, 100, 300),
        drop_split=pick(0, 1, 2), feed_delay_ms=pick(0, 0, 20), feed_tail_ms=pick(0, 0, 30),
        order_tail_ms=pick(0, 0, 40), cancel_tail_ms=(cancel_tail := pick(0, 0, 60)),
        cancel_tail99_ms=cancel_tail * pick(0, 7), delay_activity=pick(0, 0, 0.5), delay_spread=pick(0, 0, 0.2),
        fifo=pick(0, 1), taker_delay_ms=pick(0, 0, 0, 200, 1500), self_trade=pick(0, 1),
        group_limit=pick(0, 0, 0, 20, 60), pause_keeps=pick(0, 1, 2), rate_limit=pick(0, 0, 0, 1, 3),
        trade_share=pick(0.25, 0.5, 1), used_life_s=pick(0, 0.5, 5),
        fill_life_s=pick(0.5, 5), fill_base=pick(-1, 0, 3), fill_time=pick(0, 0.1), life_s=pick(20, 40),
        fill_memory=pick(0, 1, 3), fill_move_memory=pick(2, 3), fill_inside=pick(-0.5, 2), fill_distance=pick(0, -0.2),
        fill_better=pick(0, -0.1), fill_activity=pick(0.1, 1), fill_lean=pick(-0.3, 0.7), fill_reach=pick(0, -0.5),
        news_rate=pick(0.5, 3), news_size=pick(0.02, 0.1), maker_rate=pick(1, 4), half_spread=pick(0, 0.006, 0.02),
        depth=pick(1, 5, 20), levels=pick(2, 4), add_rate=pick(2, 5), add_size=pick(1, 10), cancel_rate=pick(2, 5),
        noise_rate=pick(3, 6), noise_size=pick(1, 8), informed_rate=pick(0.3, 2), informed_size=pick(5, 30),
        informed_edge=pick(0, 0.01), signal_rate=pick(0, 1), belief_low=pick(0.03, 0.3), belief_high=pick(0.5, 0.97),
        **random_extras(pick),
    )  # fmt: skip


def random_extras(pick: Callable[..., np.ndarray]) -> dict[str, np.ndarray]:
    """Everything that the plain synthetic market leaves off."""
    return {
        "news_large_share": pick(0, 0.3), "news_take": pick(0, 0.7), "clump": pick(1, 1, 2.3),
        "close_rate": pick(0, 0.02), "scalar": pick(0, 0, 1),
        "void_share": pick(0, 0, 0.2), "void_payout": pick(0.5, 0.37), "outage_rate": pick(0, 0.1), "outage_s": pick(1),
        "stale_rate": pick(0, 0.1), "fee_rate": pick(0, 0.1), "tick_rate": pick(0, 0.1),
        "touch_share": pick(0, 0.4), "depth_touch": pick(1, 0.5), "depth_slope": pick(0, 0.5),
        "depth_decay": pick(0, 0.2), "presence": pick(1, 0.8),
        "anchor_strength": pick(0, 0.7), "anchor_width": pick(0.1), "anchor_depth": pick(0, 2), "widen": pick(0, 0.1),
        "resilience_s": pick(2), "pull": pick(0, 0.5), "large_share": pick(0, 0.2), "large_size": pick(30),
        "momentum_rate": pick(0, 2), "momentum_size": pick(3), "excite": pick(0, 0.6), "excite_same": pick(0.5, 0.9),
        "cascade_rate": pick(0, 0.05), "cascade_size": pick(0, 20), "cascade_life_s": pick(3),
        "front_rate": pick(0, 4), "front_min": pick(0, 5), "copy_rate": pick(0, 4), "fade_spread": pick(0, 0.2),
        "fade_depth": pick(0, 5), "watch_delay_ms": pick(0, 100, 900),
    }  # fmt: skip


def recording_of(tape: Tape) -> Recording:
    """A tape as the reference wants it; direct members of Kalshi keep balances to $0.0001."""
    schedules = [
        Schedule(rates.kind, rates.rate_ppm, rates.maker_ppm, 100 if rates.kind == "kalshi" else 0)
        for rates in tape.header.fee_schedules
    ]
    market = tape.header.markets[0]
    return record(tape.events, tape.header.tick_tables, schedules, market.open_ns, market.close_ns)


class Batch:
    """``envs`` sequences of one venue, one fill model and one purse, on recordings or on the synthetic market."""

    def __init__(self, seed: int, venue: str, fill_model: str, *, recorded: bool, poor: bool, envs: int) -> None:
        self.name = f"seed {seed}, {venue}, {fill_model}, {'recorded' if recorded else 'synthetic'}, poor={poor}"
        self.dice = dice = Dice(seed, sorted(VENUES).index(venue), FILL_MODELS.index(fill_model), recorded, poor)
        rules, schedule = VENUES[venue]
        rows = random_rows(dice, 6)
        count = envs if recorded else 0
        tapes = [random_tape(dice, venue, dice.between(60, 400), prints=i % 3 != 2) for i in range(count)]
        sequential = dice.chance(0.5)
        share = (1.0 if sequential else dice.pick((1.0, 0.8))) if recorded else 0.0
        window_s = dice.pick((float("inf"), 30.0))
        cash, ruin = (30_000_000, 5_000_000) if poor else (10_000_000_000, 5_000_000)
        scenario = Scenario(
            rows, (Place(venue),), tapes=tuple(tapes), names=tuple(f"tape {i}" for i in range(len(tapes))),
            replay_share=share, sequential=sequential,
        )  # fmt: skip
        first_env = dice.below(1000)
        self.engine = Engine(
            scenario, envs, seed=seed, first_env=first_env, window_s=window_s, cash_uusd=cash, ruin_uusd=ruin,
            fill_model=fill_model,
        )  # fmt: skip
        setting = Setting(
            [dict(zip(ROW.names, row.item(), strict=True)) for row in rows], [recording_of(tape) for tape in tapes],
            rules, schedule, share, sequential, FILL_MODELS.index(fill_model),
            window_s if window_s == float("inf") else round(window_s * 10**9), cash, ruin, seed,
        )  # fmt: skip
        self.references = [ReferenceEngine(setting, first_env + env) for env in range(envs)]
        self.traders = [Trader(dice, dice.pick((0.08, 0.25, 0.6))) for _ in range(envs)]
        self.by_events = dice.chance(0.25)
        self.reset(np.ones(envs, bool))

    def reset(self, mask: np.ndarray) -> None:
        """Begin new episodes."""
        self.engine.reset(mask)
        for env in np.flatnonzero(mask):
            self.references[env].reset()
        self.check("after a reset")

    def step(self, number: int) -> None:
        """Send wishes, let time pass, compare."""
        wishes = [trader.intents(ref) for trader, ref in zip(self.traders, self.references, strict=True)]
        self.engine.submit(as_intents(wishes))
        for ref, pair in zip(self.references, wishes, strict=True):
            ref.submit(pair)
        if self.by_events:
            count = self.dice.pick((1, 1, 3, 8))
            self.engine.advance_events(count)
            for ref in self.references:
                ref.advance(events=count)
        else:
            milliseconds = self.dice.pick((50, 250, 250, 1000))
            self.engine.advance(milliseconds / 1000)
            for ref in self.references:
                ref.advance(ns=milliseconds * 1_000_000)
        self.check(f"after step {number}, wishes {{wishes}}", wishes)
        if self.dice.chance(0.5):
            self.observe()
        over = self.engine.terminated | self.engine.truncated
        if over.any():
            self.reset(over)

    def observe(self) -> None:
        """Counters since the last observation begin anew, as an environment does it."""
        show_feeds(self.engine.state, 0, len(self.references))
        for name in ("bought_qty", "sold_qty", "bid_added_qty", "ask_added_qty", "bid_removed_qty", "ask_removed_qty",
                     "n_events", "n_prints"):  # fmt: skip
            self.engine.state.market[name] = 0
        hide_feeds(self.engine.state, 0, len(self.references))
        for ref in self.references:
            (feed_of(ref) or ref.market).observed()

    def check(self, when: str, wishes: list | None = None) -> None:
        """Both agree in everything, and the engine keeps the laws."""
        for env, ref in enumerate(self.references):
            wrong = broken_laws(self.engine, env) + differences(self.engine, env, ref)
            if feed := feed_of(ref):
                show_feeds(self.engine.state, env, env + 1)
                shown = {**feed.shown, "equity_uusd": ref.account.worth(feed.shown["mid2_px"])}
                wrong += unlike(engine_view(self.engine, env), shown, "stale feed: ")
                hide_feeds(self.engine.state, env, env + 1)
            if wrong:
                text = when.format(wishes=wishes[env] if wishes else None)
                raise AssertionError(f"{self.name}, environment {env}, {text}:\n" + "\n".join(wrong))

    def run(self, steps: int) -> Counter:
        """All steps; returns which branches the reference went through, and how often."""
        for number in range(steps):
            self.step(number)
        return sum((ref.seen for ref in self.references), Counter())
