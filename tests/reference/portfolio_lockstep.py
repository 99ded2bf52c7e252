"""Random portfolios: two or three markets on one or two venues, with sets that net, engine and reference in step."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np

from reference.compare import OF_POOL, engine_view, reference_view, unlike
from reference.dice import Dice
from reference.engine import Setting
from reference.feed import feed_of
from reference.lockstep import VENUES, random_rows, recording_of
from reference.portfolio import Portfolio, PortfolioSetting, Side
from reference.random_orders import NOTHING, Trader
from reference.random_tapes import START_NS, TICK_TABLES, TapeMaker, header
from sim.engine import Engine
from sim.feed import hide_feeds, show_feeds
from sim.links import Exclusive
from sim.scenarios import Scenario
from sim.scenarios.portfolio import Portfolio as Places
from sim.scenarios.row import ROW
from sim.tape import Tape, seal
from sim.types import CLOSED, DO_CONVERT, DO_MERGE, EVENT, FILL_MODELS, INTENT, NO, SETTLE, STATUS

OF_ALL = ("now_ns", "events", "n_messages", "n_rejects", "last_reject", "gap", "done", "equity_uusd")  # by environment


def payouts(dice: Dice, count: int, whole: bool) -> list[int]:
    """What the markets of a set pay: a winner, nobody, or a dollar cut up; with ``whole`` a winner."""
    pays = [0] * count
    if whole or dice.chance(0.6):
        pays[dice.below(count)] = 10_000
    elif dice.chance(0.7):
        cuts = sorted(dice.below(10_001) for _ in range(count))
        pays = [b - a for a, b in zip([0, *cuts], cuts, strict=False)]
    return pays


def settled_tape(dice: Dice, venue: str, messages: int, payout: int) -> Tape:
    """A recording that ends with ``payout``."""
    taker, maker_ppm = (70_000, (0, 17_500)) if venue == "kalshi" else (50_000, (0, 0))
    maker = TapeMaker(dice, TICK_TABLES[:2], 2, prints=dice.chance(0.7))
    maker.snapshot()
    maker.end_message()
    for _ in range(messages):
        maker.message()
    maker.row(STATUS, qty=CLOSED)
    maker.ns = max(maker.ns, START_NS) + 10**9
    maker.row(SETTLE, px=payout)
    maker.end_message()
    rates = [(taker, maker_ppm[0]), (taker, maker_ppm[1])]
    return seal(np.array(maker.rows, EVENT), header(venue, TICK_TABLES[:2], rates))


class PortfolioBatch:
    """``envs`` sequences of one portfolio, recorded or synthetic, and ``sets`` of its markets that net."""

    def __init__(
        self, seed: int, places: Places, sets: tuple[tuple[int, ...], ...], fill_model: str, *,
        recorded: bool, poor: bool, envs: int,
    ) -> None:  # fmt: skip
        venues = tuple(place.venue for place in places.places)
        self.name = f"seed {seed}, {venues}, sets {sets}, {fill_model}, recorded={recorded}, poor={poor}"
        self.dice = dice = Dice(seed, len(venues), len(sets), FILL_MODELS.index(fill_model), recorded, poor, 77)
        rows, names = random_rows(dice, 4), tuple(dict.fromkeys(venues))
        tapes = [self._tapes(venues, sets) for _ in range(envs if recorded else 0)]
        rows["void_payout"] = 0.3  # three void markets of a set must not pay more than its dollar
        rows["void_share"] *= 2
        rows = np.stack([rows] * len(venues), axis=1)  # (R, M)
        rows["life_s"] *= [dice.pick((1.0, 0.6, 0.3)) for _ in venues]  # markets of a group close one after the other
        rows["news_take"] *= [dice.pick((1.0, 0.5, 0.0)) for _ in venues]  # of the first market too
        links = places.links + tuple(Exclusive(one, venues[one[0]] == "polymarket", nets=True) for one in sets)
        cash = [40_000_000 if poor else 10_000_000_000] * len(names)
        window_s = dice.pick((float("inf"), 15.0))
        scenario = Scenario(
            rows, portfolio=places, tapes=tuple(tape for one in tapes for tape in one),
            names=tuple(f"tape {i}" for i in range(len(tapes) * len(venues))), replay_share=float(recorded),
            sequential=recorded, links=links,
        )  # fmt: skip
        first_env = dice.below(1000)
        self.engine = Engine(scenario, envs, seed=seed, first_env=first_env, window_s=window_s, cash_uusd=cash,
                             ruin_uusd=1_000_000, fill_model=fill_model)  # fmt: skip
        listed = [[dict(zip(ROW.names, row.item(), strict=True)) for row in rows[:, m]] for m in range(len(venues))]
        settings = [
            Setting(
                listed[market], [recording_of(one[market]) for one in tapes], *VENUES[venue], float(recorded), recorded,
                FILL_MODELS.index(fill_model), window_s if window_s == float("inf") else round(window_s * 10**9), 0,
                1_000_000, seed,
            )
            for market, venue in enumerate(venues)
        ]  # fmt: skip
        pays = [[list(row) for row in group.pays] for group in places.groups]
        void = [None if px < 0 else int(px) for px in places.void_px]
        setting = PortfolioSetting(
            settings, [names.index(v) for v in venues], pays, void, list(map(list, sets)), cash, seed
        )
        self.references = [Portfolio(setting, first_env + env) for env in range(envs)]
        self.traders = [[Trader(dice, dice.pick((0.25, 0.6))) for _ in venues] for _ in range(envs)]
        self.reset(np.ones(envs, bool))

    def _tapes(self, venues: tuple[str, ...], sets: tuple[tuple[int, ...], ...]) -> list[Tape]:
        dice = self.dice
        pays = [dice.pick((0, 10_000)) for _ in venues]
        for members in sets:
            for market, paid in zip(members, payouts(dice, len(members), venues[members[0]] != "kalshi"), strict=True):
                pays[market] = paid
        return [settled_tape(dice, v, dice.between(60, 250), p) for v, p in zip(venues, pays, strict=True)]

    def reset(self, mask: np.ndarray) -> None:
        """Begin new episodes."""
        self.engine.reset(mask)
        for env in np.flatnonzero(mask):
            self.references[env].reset()
        self.check("after a reset")

    def wishes(self, env: int) -> list[list[dict]]:
        """Orders of every market, now and then a merge or a conversion."""
        dice, ref = self.dice, self.references[env]
        wishes = [trader.intents(side) for trader, side in zip(self.traders[env], ref.sides, strict=True)]
        if dice.chance(0.15):
            market = dice.below(len(wishes))
            held = min(ref.sides[market].account.held.values())
            wishes[market][dice.below(2)] = {**NOTHING, "do": DO_MERGE, "qty": dice.pick((held, held // 2, 10**6))}
        if dice.chance(0.2):
            chosen = [market for market in range(len(wishes)) if dice.chance(0.5)]
            least = min((ref.sides[market].account.sellable(NO) for market in chosen), default=0)
            for market in chosen:
                qty = dice.pick((least, least, least, 1 + dice.below(300)))
                wishes[market][dice.below(2)] = {**NOTHING, "do": DO_CONVERT, "qty": qty}
        return wishes

    def step(self, number: int) -> None:
        """Send wishes, let time pass, compare."""
        wishes = [self.wishes(env) for env in range(len(self.references))]
        fields = [[[tuple(one[name] for name in INTENT.names) for one in pair] for pair in env] for env in wishes]
        self.engine.submit(np.array(fields, INTENT))
        milliseconds = self.dice.pick((50, 250, 250, 1000))
        self.engine.advance(milliseconds / 1000)
        for ref, wanted in zip(self.references, wishes, strict=True):
            ref.submit(wanted)
            ref.advance(milliseconds * 1_000_000)
        self.check(f"after step {number}")
        over = self.engine.terminated | self.engine.truncated
        if over.any():
            self.reset(over)

    def check(self, when: str) -> None:
        """Both agree in everything, and the money is all there."""
        for env, ref in enumerate(self.references):
            wrong = [text for side in ref.sides for text in self._differences(env, side)] + self._whole(env, ref)
            if wrong:
                raise AssertionError(f"{self.name}, environment {env}, {when}:\n" + "\n".join(wrong))

    def _differences(self, env: int, side: Side) -> list[str]:
        one, where = _one_market(self.engine, side.index), f"market {side.index}, "
        slow = {name: value for name, value in reference_view(side).items() if name not in ("events", "gap")}
        wrong = unlike(engine_view(one, env), slow, where)
        if feed := feed_of(side):
            show_feeds(self.engine.state, env, env + 1)
            wrong += unlike(engine_view(one, env), feed.shown, where + "stale feed: ")
            hide_feeds(self.engine.state, env, env + 1)
        return wrong

    def _whole(self, env: int, ref: Portfolio) -> list[str]:
        account, pools = self.engine.state.account[env], self.engine.state.pool[env]
        wrong = []
        if (int(account["events"]), bool(account["gap"])) != (ref.events, ref.gap):
            wrong.append(f"events and gap: engine {account['events'], account['gap']}, reference {ref.events, ref.gap}")
        returned = [one.returned for one in ref.sets]
        if self.engine.state.returned[env].tolist() != returned:
            wrong.append(f"returned: engine {self.engine.state.returned[env].tolist()}, reference {returned}")
        for pool in pools:
            total = sum(int(pool[name]) for name in OF_POOL if name != "reserved_uusd")
            if total != pool["start_uusd"] or not 0 <= pool["reserved_uusd"] <= pool["cash_uusd"]:
                wrong.append(f"money of a venue: {dict(zip(pool.dtype.names, pool.item(), strict=True))}")
        return wrong

    def run(self, steps: int) -> Counter:
        """All steps; returns which branches the reference went through, and how often."""
        for number in range(steps):
            self.step(number)
        return sum((ref.seen for ref in self.references), Counter())


def _one_market(engine: Engine, market: int) -> SimpleNamespace:
    """An engine's state as if it had one of its markets only."""
    state, count = engine.state, engine.num_markets
    venue = engine.world.venue_of[market]
    mine = {name: getattr(state, name)[market::count] for name in ("market", "book", "position", "orders", "messages")}
    view = SimpleNamespace(account=state.account, fills=state.fills, pool=state.pool[:, venue : venue + 1], **mine)
    return SimpleNamespace(
        state=view, grid=engine.grid, terminated=engine.terminated, truncated=engine.truncated
    )  # fmt: skip
