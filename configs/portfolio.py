"""Portfolios and links as configs say them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import NamedTuple

from configs.schema import GroupConfig, LinkConfig, PortfolioConfig
from sim.links import Exclusive, Link, Nested, Same
from sim.scenarios.portfolio import Portfolio, complement, cross_venue, exclusive, nested, single


def portfolio_of(wanted: PortfolioConfig) -> tuple[Portfolio, tuple[Link, ...] | None]:
    """The markets of an environment and their links, None = the portfolio's own.

    Raises ValueError naming the entry that does not do.
    """
    if not wanted.groups:
        raise ValueError("scenario.groups: expected at least one group of markets")
    groups = [_group(f"scenario.groups[{index}]", group) for index, group in enumerate(wanted.groups)]
    links = wanted.links
    if links is None:
        return reduce(add, groups), None
    return reduce(add, groups), tuple(_link(f"scenario.links[{index}]", link) for index, link in enumerate(links))


class _Kind(NamedTuple):
    """What a kind of group is made of."""

    make: Callable[[GroupConfig], Portfolio]
    least: int  # venues
    most: int | None
    venues: str  # the same in words
    takes: tuple[str, ...] = ("venues",)
    markets: str = ""  # what would do where a number of markets is given and not taken


_ALL_LIE = "1, where all of its markets lie"
_KINDS = {
    "exclusive": _Kind(
        lambda group: exclusive(
            _count(group), exhaustive=group.exhaustive is not False, neg_risk=group.nets is True, venue=group.venues[0]
        ),
        1, 1, _ALL_LIE, ("markets", "venues", "exhaustive", "nets"),
    ),
    "nested": _Kind(lambda group: nested(_count(group), venue=group.venues[0]), 1, 1, _ALL_LIE, ("markets", "venues")),
    "single": _Kind(
        lambda group: single(group.venues[0]), 1, 1, "1, where its market lies",
        markets="it is one market: write {} groups",
    ),
    "complement": _Kind(
        lambda group: complement(*group.venues), 1, 2, "1 for both of its markets, or 2, one for each",
        markets="it is always 2 markets: leave it out, or take kind: exclusive",
    ),
    "same": _Kind(
        lambda group: cross_venue(*group.venues), 2, None, "2 or more, one for each of its markets",
        markets="it has a market for each of its venues: list {}",
    ),
}  # fmt: skip
_LINKS = {"exclusive": ("markets", "exhaustive", "nets"), "same": ("markets",), "nested": ("markets",)}
_EXCLUSIVE_ONLY = "only an exclusive set has it: leave it out, or take kind: exclusive"


def _count(group: GroupConfig) -> int:
    return 2 if group.markets is None else group.markets


def _group(path: str, group: GroupConfig) -> Portfolio:
    kind = _KINDS.get(group.kind)
    if kind is None:
        raise ValueError(f"{path}.kind = {group.kind!r}: expected one of {', '.join(_KINDS)}")
    _refuse_others(path, group, kind.takes, {"markets": kind.markets.format(group.markets)})
    count = len(group.venues)
    if count < kind.least or (kind.most is not None and count > kind.most):
        raise ValueError(f"{path}.venues = {group.venues}: {group.kind} takes {kind.venues}, not {count}")
    return kind.make(group)


def _link(path: str, link: LinkConfig) -> Link:
    markets = tuple(link.markets)
    if link.kind not in _LINKS:
        raise ValueError(f"{path}.kind = {link.kind!r}: expected one of {', '.join(_LINKS)}")
    _refuse_others(path, link, _LINKS[link.kind], {})
    if link.kind == "exclusive":
        return Exclusive(markets, link.exhaustive is not False, link.nets is True)
    if link.kind == "nested":
        return Nested(markets)
    if len(markets) != 2:
        raise ValueError(f"{path}.markets = {list(markets)}: same is said of two markets")
    return Same(*markets)


def _refuse_others(path: str, given: GroupConfig | LinkConfig, takes: tuple[str, ...], advice: dict[str, str]) -> None:
    """Raise ValueError for a key that says something (is not None) and that the kind does not take."""
    for name, value in vars(given).items():
        if name != "kind" and name not in takes and value is not None:
            raise ValueError(
                f"{path}.{name} = {value}: {given.kind} takes {', '.join(takes)}; {advice.get(name, _EXCLUSIVE_ONLY)}"
            )
