"""Portfolios and links as configs say them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add

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


def _exclusive(group: GroupConfig, venue: str) -> Portfolio:
    return exclusive(group.markets, exhaustive=group.exhaustive, neg_risk=group.nets, venue=venue)


_ONE_VENUE: dict[str, Callable[[GroupConfig, str], Portfolio]] = {
    "exclusive": _exclusive,
    "nested": lambda group, venue: nested(group.markets, venue=venue),
    "single": lambda _, venue: single(venue),
}


def _group(path: str, group: GroupConfig) -> Portfolio:
    venues = group.venues
    if group.kind in _ONE_VENUE:
        if len(venues) != 1:
            raise ValueError(f"{path}.venues = {venues}: {group.kind} lies on one venue")
        return _ONE_VENUE[group.kind](group, venues[0])
    if group.kind == "complement" and 1 <= len(venues) <= 2:
        return complement(*venues)
    if group.kind == "same" and len(venues) > 1:
        return cross_venue(*venues)
    if group.kind in ("complement", "same"):
        raise ValueError(f"{path}.venues = {venues}: {group.kind} lies on two venues")
    raise ValueError(f"{path}.kind = {group.kind!r}: expected one of {', '.join(_ONE_VENUE)}, complement, same")


def _link(path: str, link: LinkConfig) -> Link:
    markets = tuple(link.markets)
    if link.kind == "exclusive":
        return Exclusive(markets, link.exhaustive, link.nets)
    if link.kind == "nested":
        return Nested(markets)
    if link.kind == "same":
        if len(markets) != 2:
            raise ValueError(f"{path}.markets = {list(markets)}: same is said of two markets")
        return Same(*markets)
    raise ValueError(f"{path}.kind = {link.kind!r}: expected one of exclusive, same, nested")
