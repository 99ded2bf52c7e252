"""What links promise, held against everything that generated markets may pay: states, a void event, scalar payouts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.links import Exclusive, Link, check_payouts, packages_of
from sim.scenarios.portfolio import Group, Portfolio
from sim.types import PX_ONE, YES


def check_promises(links: Sequence[Link], portfolio: Portfolio, rows: np.ndarray) -> None:
    """Raise ValueError for a link that the markets of ``portfolio`` may break under ``rows`` (R,) or (R, M) ROW.

    A group that may be void is checked in that state too, under the first market's row, which is the environment's.
    """
    groups = portfolio.groups
    check_payouts(links, [group.pays for group in groups])
    mine = rows if rows.ndim == 1 else rows[:, 0]
    if (mine["void_share"] > 0).any():
        check_payouts(links, [_known_states(group) for group in groups])
        _check_void_payout(links, groups, mine)
    if (mine["scalar"] == 1).any():
        _check_scalar(links, groups, int(np.argmax(mine["scalar"] == 1)))


def _known_states(group: Group) -> list[tuple[int, ...]]:
    """What YES of each market pays in every state that no row decides."""
    return [(*pays, *group.void[market : market + 1]) for market, pays in enumerate(group.pays)]


def _check_void_payout(links: Sequence[Link], groups: Sequence[Group], rows: np.ndarray) -> None:
    """No row's ``void_payout`` may break a link between groups that pay it."""
    void_px = (np.rint(rows["void_payout"] * 1e6).astype(np.int64) + 50) // 100
    for number, link in enumerate(links):
        kept = _void_payouts_kept(link, groups)
        broken = (rows["void_share"] > 0) & ~kept[void_px]
        if broken.any():
            row = int(np.argmax(broken))
            fits = np.flatnonzero(kept) / PX_ONE
            wanted = f"a void_payout in [{fits[0]:g}, {fits[-1]:g}], " if len(fits) else ""
            raise ValueError(
                f"scenario row {row}: void_payout = {rows['void_payout'][row]:g} dollar with void_share = "
                f"{rows['void_share'][row]:g} breaks link {number}, {link}: where its markets are void they pay less "
                f"than it promises; expected {wanted}void_share = 0, or a group that says what its markets pay "
                "(Group.void)"
            )


def _void_payouts_kept(link: Link, groups: Sequence[Group]) -> np.ndarray:
    """(10001,) bool: which void payouts, in px, keep what ``link`` promises in every state.

    A package pays the sum over groups of what its legs there pay in the group's worst state; in a void one, y YES and n
    NO pay y p + n (1 - p) together.
    """
    place_of = [(group, place) for group, one in enumerate(groups) for place in range(len(one.pays))]
    void = np.arange(PX_ONE + 1)
    kept = np.ones(PX_ONE + 1, bool)
    for floor, legs in packages_of(link):
        least = np.zeros(PX_ONE + 1, np.int64)
        for group in {place_of[market][0] for market, _ in legs}:
            there = [(place_of[market][1], leg) for market, leg in legs if place_of[market][0] == group]
            states = np.array([_known_states(groups[group])[place] for place, _ in there])
            yes = np.array([leg == YES for _, leg in there])
            worst = np.full(PX_ONE + 1, np.where(yes[:, None], states, PX_ONE - states).sum(axis=0).min())
            if not groups[group].void:
                worst = np.minimum(worst, yes.sum() * void + (~yes).sum() * (PX_ONE - void))
            least += worst
        kept &= least >= floor
    return kept


def _check_scalar(links: Sequence[Link], groups: Sequence[Group], row: int) -> None:
    """Scalar payouts are means over the states; only of 0 and 1 do rounded ones still add up."""
    pays = [paid for group in groups for paid in group.pays]
    for number, link in enumerate(links):
        if not isinstance(link, Exclusive):
            continue
        for market in link.markets:
            part = [px for px in pays[market] if 0 < px < PX_ONE]
            if part:
                raise ValueError(
                    f"scenario row {row}: scalar = 1 breaks link {number}, {link}: market {market} pays "
                    f"{part[0] / PX_ONE:g} in a state, and rounded payouts need not add up to a dollar; expected "
                    "payouts of 0 and 1, or scalar = 0"
                )
