"""Where episodes come from: synthetic flow, replayed tapes, or a mix of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sim.book import Grid, make_grid
from sim.links import Link, compile_links
from sim.rng import share_ends
from sim.scenarios.compiled import compile_rows
from sim.scenarios.payouts import check_promises
from sim.scenarios.pool import TapePool, build_pool, empty_pool
from sim.scenarios.portfolio import Place, Portfolio, independent
from sim.scenarios.row import check_rows, default_rows
from sim.sets import compile_sets
from sim.tape import FeeRates, Tape, read
from sim.venues import VENUES, FeeSchedule, VenueRules, fee_table
from sim.venues.fees import KALSHI, POLYMARKET
from sim.venues.kalshi import DIRECT_MEMBER_UUSD
from sim.world import World


@dataclass(frozen=True)
class Scenario:
    """What a batch of environments may be shown. Build one with :func:`synthetic`, :func:`replay` or :func:`mix`."""

    rows: np.ndarray  # (R,) ROW, or (R, M), one for each market; an episode plays one of the R
    places: tuple[Place, ...] = (Place(),)  # the M markets of an environment; a portfolio brings its own
    tapes: tuple[Tape, ...] = ()  # M for each recording, one for each market in their order
    names: tuple[str, ...] = ()  # of the tapes, for messages and reports
    replay_share: float = 0.0  # probability that an episode is a replay
    # environment i plays recording i, then i + 1 ..., each from its start; without recordings row i, then i + 1 ...
    sequential: bool = False
    portfolio: Portfolio | None = None  # how the markets hang together; None = not at all
    links: tuple[Link, ...] | None = None  # relations between the markets; None = those of the portfolio

    def __post_init__(self) -> None:
        check_rows(np.ravel(self.rows))
        if self.portfolio is None:
            object.__setattr__(self, "portfolio", independent(self.places))
        elif self.places not in ((Place(),), self.portfolio.places):
            raise ValueError("scenario: a portfolio brings its places; give one or the other")
        object.__setattr__(self, "places", self.portfolio.places)  # type: ignore[union-attr]
        markets = len(self.places)
        if self.rows.ndim == 2 and self.rows.shape[1] != markets:
            raise ValueError(f"scenario: rows of shape {self.rows.shape} do not fit {markets} markets")
        if len(self.tapes) % markets:
            raise ValueError(f"scenario: {len(self.tapes)} tapes do not make recordings of {markets} markets each")
        if not 0.0 <= self.replay_share <= 1.0:
            raise ValueError(f"scenario: replay_share is a probability, got {self.replay_share}")
        if self.replay_share > 0.0 and not self.tapes:
            raise ValueError(f"scenario: replay_share is {self.replay_share} but there are no tapes")
        if self.links is None:
            object.__setattr__(self, "links", self.portfolio.links)  # type: ignore[union-attr]
        self._check_links()

    def _check_links(self) -> None:
        """Links between markets there are, sets that their venue nets, and nothing that payouts contradict.

        What recorded markets pay is not known beforehand: their links are taken on trust.
        """
        links, portfolio = self.links or (), self.portfolio or independent(self.places)
        compile_links(links, len(self.places))
        compile_sets(links, self._venue_of, [rules.netting for rules in self.venues])
        if self.replay_share < 1.0:
            check_promises(links, portfolio, self.rows)

    @cached_property
    def venue_names(self) -> tuple[str, ...]:
        """The V venues of the markets, in order of appearance; each has a cash pool of its own."""
        return tuple(dict.fromkeys(place.venue for place in self.places))

    @cached_property
    def _venue_of(self) -> list[int]:
        """The venue of each market, as an index into ``venue_names``."""
        return [self.venue_names.index(place.venue) for place in self.places]

    @property
    def venues(self) -> tuple[VenueRules, ...]:
        """Their rules."""
        return tuple(VENUES[name] for name in self.venue_names)

    @cached_property
    def grid(self) -> Grid:
        """The ladder: the union of the tick tables of the synthetic market and of every tape."""
        return self._tables[0]

    @property
    def tape_offsets(self) -> tuple[list[int], list[int]]:
        """Where each tape's tick tables, and its fee schedules, begin in those of the world."""
        return self._tables[2:]

    @cached_property
    def _tables(self) -> tuple[Grid, np.ndarray, list[int], list[int]]:
        """Grid, fee table, and where each tape's tick tables and fee schedules begin in them.

        Both tables start with the synthetic markets' own, one for each market, and what these change to.
        """
        tick_tables: list = []
        schedules = []
        for later in (False, True):
            for place in self.places:
                rules = VENUES[place.venue]
                fees = (place.later_fees if later else "") or place.fees or rules.default_fee
                ticks = (place.later_ticks if later else "") or place.ticks or rules.default_ticks
                schedules.append(rules.fee_schedule(fees))
                tick_tables.append(rules.tick_table(ticks))
        tick_offsets, fee_offsets = [], []
        for tape in self.tapes:
            tick_offsets.append(len(tick_tables))
            fee_offsets.append(len(schedules))
            tick_tables.extend(tape.header.tick_tables)
            schedules.extend(_schedule(rates) for rates in tape.header.fee_schedules)
        return make_grid(tick_tables), fee_table(schedules), tick_offsets, fee_offsets

    @cached_property
    def pool(self) -> TapePool:
        """The tapes as kernels want them; built once, shared by every engine on this scenario."""
        grid, _, tick_offsets, fee_offsets = self._tables
        if not self.tapes:
            return empty_pool(len(grid.px_of))
        return build_pool(
            self.tapes, self.names, self._world(empty_pool(len(grid.px_of))), grid, tick_offsets, fee_offsets
        )

    def _world(self, pool: TapePool) -> World:
        grid, fees, _, _ = self._tables
        markets = len(self.places)
        links, portfolio = self.links or (), self.portfolio or independent(self.places)
        return World(
            px_of=grid.px_of, level_of=grid.level_of, tick_ok=grid.tick_ok, ticks=grid.ticks, fees=fees,
            venue_of=np.array(self._venue_of),
            fee_of=np.arange(markets), later_fee=np.arange(markets) + markets,
            tick_of=np.arange(markets), later_tick=np.arange(markets) + markets,
            group_of=portfolio.group_of, pays=portfolio.pays, void_px=portfolio.void_px,
            first_market=portfolio.first_market, first_state=portfolio.first_state,
            rows=compile_rows(np.ravel(self.rows)), row_width=1 if self.rows.ndim == 1 else markets,
            row_ends=share_ends(np.ones(len(self.rows))),
            recordings=np.arange(len(pool.tape_first)).reshape(-1, markets),
            events=pool.events, tape_first=pool.tape_first, tape_last=pool.tape_last, tape_prints=pool.tape_prints,
            key_first=pool.key_first, key_last=pool.key_last, key_cursor=pool.key_cursor, key_ns=pool.key_ns,
            key_market=pool.key_market, key_book=pool.key_book,
            replay_share_ppm=round(self.replay_share * 1e6), links=compile_links(links, markets),
            sets=compile_sets(links, self._venue_of, [rules.netting for rules in self.venues]),
            sequential=int(self.sequential),
        )  # fmt: skip

    def world(self) -> World:
        """Read-only arrays of this scenario."""
        return self._world(self.pool)


def _schedule(rates: FeeRates) -> FeeSchedule:
    """A tape's fee rates as the venue rounds them; Kalshi's for direct members."""
    if rates.kind == "kalshi":
        return FeeSchedule(KALSHI, rates.rate_ppm, rates.maker_ppm, DIRECT_MEMBER_UUSD)
    return FeeSchedule(POLYMARKET, rates.rate_ppm, rates.maker_ppm)


def synthetic(rows: np.ndarray | None = None, *, venue: str = "kalshi", fees: str = "") -> Scenario:
    """Synthetic markets with the parameters of ``rows`` (default: one row of defaults).

    ``fees`` is the venue's name of a fee schedule, such as "quadratic_with_maker_fees" or "geopolitics"; "" = its
    default.
    """
    return Scenario(rows=default_rows() if rows is None else rows, places=(Place(venue, fees),))


def load_tapes(paths: Sequence[str | Path]) -> tuple[tuple[Tape, ...], tuple[str, ...]]:
    """Read tape files; a folder stands for the ``*.parquet`` files in it, by name.

    Raises FileNotFoundError when none is there.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        files.extend(sorted(path.glob("*.parquet")) if path.is_dir() else [path])
    if not files:
        raise FileNotFoundError(f"no tape (*.parquet) in {', '.join(map(str, paths)) or 'an empty list of paths'}")
    return tuple(read(path) for path in files), tuple(path.stem for path in files)


def replay(
    paths: Sequence[str | Path], rows: np.ndarray | None = None, *, venue: str | None = None, sequential: bool = False
) -> Scenario:
    """Recorded markets. ``rows`` still say delays and fill parameters. The venue is the tapes' own.

    Raises ValueError where the tapes come from different venues.
    """
    return mix(paths, rows, replay_share=1.0, venue=venue, sequential=sequential)


def mix(
    paths: Sequence[str | Path],
    rows: np.ndarray | None = None,
    *,
    replay_share: float,
    venue: str | None = None,
    sequential: bool = False,
) -> Scenario:
    """Episodes that are replays with probability ``replay_share`` and synthetic otherwise, under one venue's rules."""
    tapes, names = load_tapes(paths)
    venues = {tape.header.venue for tape in tapes}
    if venue is None and len(venues) != 1:
        raise ValueError(
            f"scenario: the tapes come from several venues, {', '.join(sorted(venues))}: name one, or split them"
        )
    return Scenario(
        rows=default_rows() if rows is None else rows,
        places=(Place(venue or venues.pop()),),
        tapes=tapes,
        names=names,
        replay_share=replay_share,
        sequential=sequential,
    )
