"""The five recorded markets that synthetic ones are fitted to: which tapes are fitted, and which are reported on.

Everything is by name. A tape belongs to the first rule whose pattern is found in its name; one that no rule names is an
error, so that a new recording is never fitted or reported on by accident. The parts are the stretches between which the
yardstick is taken: days where there are several, stretches of comparable length where not.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from sim.importers import resolvedkit
from sim.scenarios.trace import Feed
from sim.types import SECOND_NS

Use = Literal["fit", "report"]


class Rule(NamedTuple):
    """Tapes whose name holds ``pattern`` (a regular expression); ``part`` is empty for tapes that are left out."""

    pattern: str
    part: str = ""
    use: Use = "fit"


class Source(NamedTuple):
    """One recording of a set, and the families of facts that it speaks of."""

    folder: str  # file or folder below the folder of recordings
    feed: Feed
    rules: tuple[Rule, ...]
    halves: bool = False  # every tape is cut at its middle: the first half is fitted, the second reported on
    markets: tuple[
        str, ...
    ] = ()  # patterns of tapes that belong together: segments, the sides of a game; see market_of


class MarketSet(NamedTuple):
    """One of the markets."""

    title: str
    sources: tuple[Source, ...]


_BOOK = frozenset({"spread", "depth", "messages", "touch", "moves", "clustering"})
_PRINTS = frozenset({"trades", "flow"})
_TOP = frozenset({"spread", "moves", "clustering"})

_KALSHI_CRYPTO = MarketSet(
    "Kalshi crypto, 15 minutes",
    (
        Source(
            "kalshi_kxbtc15m_l2",
            Feed(_BOOK),
            (
                Rule("26MAY13(09|1[0-4])", "13 May, 09 to 14 h"),
                Rule("26MAY13(1[5-9]|2)", "13 May, 15 to 24 h"),
                Rule("26MAY14", "14 May", "report"),
            ),
            markets=("^([A-Z0-9]+-[A-Z0-9]+)",),
        ),
        Source(
            "kalshi_trades/btc_eth_15m_20260427_28.parquet",
            Feed(_PRINTS),
            (
                Rule("^KXETH"),
                Rule("26APR27", "27 April"),
                Rule("26APR280[0-7]", "28 April, 00 to 08 h", "report"),
                Rule("26APR28", "28 April, 08 to 16 h", "report"),
            ),
        ),
    ),
)

# At a connection the recorder got the best prices only: deeper sizes are lower bounds, and no facts.
_KALSHI_SPORTS = MarketSet(
    "Kalshi live sports",
    (
        Source(
            "kalshi_nba_live_20260108",
            Feed(_BOOK | _PRINTS, levels=1),
            (
                Rule("_(CHA|TOR)_", "8 January, CHA-TOR"),
                Rule("_(BOS|DEN|LAC|NYK)_", "8 January, BOS-DEN and LAC-NYK", "report"),
            ),
            markets=("_(?:CHA|TOR)_", "_(?:BOS|DEN)_", "_(?:LAC|NYK)_"),
        ),
        Source(
            "kalshi_nba_ncaab_202601",
            Feed(_TOP | {"messages"}, levels=1),
            (
                Rule("_(Creighton|Senton_Hall)_2$"),  # crossed for good: part of the book was never told
                Rule("_(MIA|MIN|BC|GT)", "3 January"),
                Rule("_(Creighton|Senton_Hall|Kentucky|Missouri)", "4 January", "report"),
            ),
            markets=("_(?:MIA|MIN)", "_(?:BC|GT)", "_(?:Creighton|Senton_Hall)", "_(?:Kentucky|Missouri)"),
        ),
    ),
)

_KALSHI_WEATHER = MarketSet(
    "Kalshi weather, daily highs",
    (
        Source(
            "kalshi_weather_kxhighny_bbo.parquet",
            Feed(_TOP, levels=1, quiet_ns=3600 * SECOND_NS),
            (
                Rule("25DEC0[5-8]", "5 to 8 December"),
                Rule("25DEC1[0-3]", "10 to 13 December"),
                Rule("25DEC1[4-9]", "14 to 19 December", "report"),
                Rule("25DEC2[0-4]", "20 to 24 December", "report"),
            ),
            markets=("^([A-Z]+-[A-Z0-9]+)",),
        ),
        Source(
            "kalshi_weather_books_full_depth.parquet",
            Feed(frozenset({"depth"}), views=True),
            (
                Rule("26JUL1[56]", "15 and 16 July"),
                Rule("26JUL1[78]", "17 and 18 July"),
                Rule("26JUL(19|20|21)", "19 to 21 July", "report"),
            ),
            markets=("^([A-Z0-9]+-[A-Z0-9]+)",),
        ),
    ),
)

_POLYMARKET_SPORTS = MarketSet(
    "Polymarket live sports",
    (
        Source(
            "poly_mlb_live_l2",
            Feed(_BOOK | _PRINTS),
            (
                Rule(
                    "mlb-(chc-stl|lad-col|pit-mil|tex-bal|tor-cle)-2025-06-24"
                ),  # hours with hardly a message: not live
                Rule("mlb-hou-bal-2025-06-19", "17 June"),  # by its stamps; the name says when the file was made
                Rule("2025-06-17", "17 June"),
                Rule("2025-06-19", "19 June", "report"),
                Rule("2025-06-24", "24 June"),
                Rule("2025-06-25", "25 June", "report"),
            ),
        ),
    ),
)

_POLYMARKET_CRYPTO = MarketSet(
    "Polymarket crypto",
    (
        Source(
            resolvedkit.WORD,
            Feed(_TOP | {"depth"}, levels=5, period_ns=SECOND_NS),
            (
                Rule("17905(8[6-9])", "28 September, windows 1 to 5"),
                Rule("17905(9[0-3])", "28 September, windows 6 to 9"),
                Rule("17905(9[4-8])", "28 September, windows 10 to 14", "report"),
                Rule("1790(599|60)", "28 September, windows 15 to 18", "report"),
            ),
        ),
        Source(
            "poly_btc15m_8hz_5lvl",
            Feed(_TOP | {"depth"}, levels=5, period_ns=SECOND_NS),
            (
                Rule("17716(33800|34700)", "21 February"),
                Rule("17716(35600|36500)", "21 February, later", "report"),
            ),
        ),
        Source(
            "poly_crypto_updown_20251211",
            Feed(_PRINTS),
            (Rule("^btc-15m", "11 December"), Rule("")),
            halves=True,
        ),
        Source("poly_ws_raw_btc5m", Feed(frozenset({"messages", "touch"})), (Rule("", "21 April"),), halves=True),
    ),
)

SETS = {
    "kalshi_crypto": _KALSHI_CRYPTO,
    "kalshi_sports": _KALSHI_SPORTS,
    "kalshi_weather": _KALSHI_WEATHER,
    "polymarket_sports": _POLYMARKET_SPORTS,
    "polymarket_crypto": _POLYMARKET_CRYPTO,
}


def rule_of(source: Source, tape: str) -> Rule:
    """The rule that ``tape`` falls under. Raises ValueError where none names it."""
    for rule in source.rules:
        if re.search(rule.pattern, tape):
            return rule
    patterns = ", ".join(rule.pattern for rule in source.rules)
    raise ValueError(
        f"{source.folder}: no rule says whether the tape {tape!r} is fitted or reported on; the rules are {patterns}"
    )


def market_of(source: Source, tape: str) -> str:
    """What ``tape`` is a segment or a side of: one game, one event, one window. Its own name where no pattern is found.

    A pattern with a group names the market by what the group holds, one without by itself: both sides of a game.
    """
    for pattern in source.markets:
        found = re.search(pattern, tape)
        if found:
            return found.group(1) if found.groups() else pattern
    return tape
