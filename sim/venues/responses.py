"""Venue responses to rules: what a market, a series or an event says of its ticks, fees, sizes and netting.

Reads JSON objects as the venues send them, wrapped or bare, and ignores keys it does not know. What a response does not
say stays None. Understood are

* Kalshi: markets (``price_level_structure``, ``price_ranges``), series (``fee_type``, ``fee_multiplier``), events
  (overrides, ``collateral_return_type``), fee changes (``scheduled_ts``), lifecycle and fee messages of the socket;
* Polymarket: Gamma markets (``orderPriceMinTickSize``, ``orderMinSize``, ``feeSchedule``, ``feesEnabled``,
  ``feeType``, ``negRisk``), CLOB markets (``minimum_tick_size``, ``minimum_order_size``, ``neg_risk``), compact CLOB
  markets (``mts``, ``mos``, ``fd``, ``nr``), books, ``new_market`` and ``tick_size_change`` messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from sim.types import LOTS_PER_CONTRACT, PX_ONE
from sim.venues.fees import MAX_PPM, FeeSchedule
from sim.venues.kalshi import kalshi_fees
from sim.venues.polymarket import polymarket_fees
from sim.venues.rules import TickRange, TickTable, tick_prices, whole


class RefreshError(ValueError):
    """A response that cannot be read: says where, what was expected and what came."""


@dataclass(frozen=True)
class MarketRules:
    """What one response says of one market, series or event. None = it does not say."""

    venue: str
    market: str  # ticker, condition id or token id
    tick_label: str | None = None
    ticks: TickTable | None = None
    fee_name: str | None = None  # Kalshi's fee type, Polymarket's category
    multiplier: Fraction | None = None  # Kalshi
    fees: FeeSchedule | None = None  # also None where the formula is not known: fee_name then says so
    fee_formula: str | None = None  # what else the formula depends on
    min_qty: int | None = None  # lots
    rebate_ppm: int | None = None
    exclusive: str | None = None  # "MECNET", "DIRECNET", "" or "negRisk"
    effective: str | None = None  # when a scheduled change comes into force
    clear_on_start: bool | None = None  # the book is emptied when the game begins
    reward_min_qty: int | None = None  # liquidity rewards: the smallest order that counts, lots
    reward_spread_px: int | None = None  # and the largest distance from the midpoint


def read_rules(response: Any, where: str = "response") -> list[MarketRules]:
    """Rules of every market, series and event in a parsed JSON value, in order.

    Raises RefreshError where there is none, and where a field has a value that cannot be.
    """
    found = list(_walk(response, where))
    if not found:
        raise RefreshError(
            f"{where}: no market, series or event in it; expected an object with price_level_structure, fee_type, "
            "orderPriceMinTickSize, minimum_tick_size or mts"
        )
    return found


def combined(*parts: MarketRules) -> MarketRules:
    """One market's rules from several responses, a later one before an earlier: series, event, market.

    Raises ValueError without parts or for two venues.
    """
    if not parts or len({part.venue for part in parts}) != 1:
        raise ValueError(f"combined rules: {[part.venue for part in parts]}; expected parts of one venue")
    result = parts[0]
    for part in parts[1:]:
        said = {f.name: getattr(part, f.name) for f in fields(part) if getattr(part, f.name) is not None}
        if part.fee_name is not None:
            said |= {"fees": part.fees, "multiplier": part.multiplier}  # they go together
        result = replace(result, **said)
    return result


def _walk(value: Any, where: str) -> Iterator[MarketRules]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{where}[{index}]")
    elif isinstance(value, dict):
        for names, reader in _READERS:
            if names & value.keys():
                yield reader(value, where)
                break
        for name, item in value.items():
            if isinstance(item, dict | list):
                yield from _walk(item, f"{where}.{name}")


def _kalshi_market(item: Mapping[str, Any], where: str) -> MarketRules:
    ranges = item.get("price_ranges")
    ticks = None if ranges is None else _ranges(ranges, f"{where}.price_ranges")
    return MarketRules(
        "kalshi",
        _name(item, where, "ticker", "market_ticker", required=False),
        tick_label=_text(item, "price_level_structure", where),
        ticks=ticks,
    )


def _kalshi_series(item: Mapping[str, Any], where: str) -> MarketRules:
    return replace(
        _kalshi_fees(item, "fee_type", "fee_multiplier", where),
        market=_name(item, where, "ticker", "series_ticker", "event_ticker"),
        effective=_text(item, "scheduled_ts", where),
    )


def _kalshi_event(item: Mapping[str, Any], where: str) -> MarketRules:
    rules = MarketRules("kalshi", "")
    if item.get("fee_type_override") is not None:
        rules = _kalshi_fees(item, "fee_type_override", "fee_multiplier_override", where)
    return replace(
        rules,
        market=_name(item, where, "event_ticker"),
        exclusive=_text(item, "collateral_return_type", where),
        effective=_text(item, "scheduled_ts", where),
    )


def _kalshi_fees(item: Mapping[str, Any], type_key: str, multiplier_key: str, where: str) -> MarketRules:
    name = _text(item, type_key, where)
    multiplier = _number(item.get(multiplier_key, 1), f"{where}.{multiplier_key}")
    try:
        fees = kalshi_fees(str(name), multiplier)
    except ValueError:
        fees = None  # a formula that is not known: drift reports the name
    return MarketRules("kalshi", "", fee_name=name, multiplier=multiplier, fees=fees)


def _gamma_market(item: Mapping[str, Any], where: str) -> MarketRules:
    rules = _polymarket(item, where, "orderPriceMinTickSize", "orderMinSize", "conditionId")
    schedule = item.get("feeSchedule")
    clear = item.get("clearBookOnStart")
    rules = replace(
        _with_rewards(rules, item, "rewardsMinSize", "rewardsMaxSpread", where),
        exclusive=None if item.get("negRisk") is None else "negRisk" if item["negRisk"] else "",
        clear_on_start=clear if isinstance(clear, bool) else None,
    )
    if item.get("feesEnabled") is False:
        return replace(rules, fees=polymarket_fees(0), fee_formula=_FORMULA)
    if not isinstance(schedule, dict):
        return rules
    category = _text(item, "feeType", where)
    name = None if category is None else category.lower().split("_fees")[0]
    return replace(_with_fees(rules, schedule, ("rate", "exponent", "takerOnly", "rebateRate"), where), fee_name=name)


def _clob_market(item: Mapping[str, Any], where: str) -> MarketRules:
    rules = _polymarket(item, where, "minimum_tick_size", "minimum_order_size", "condition_id")
    risk = item.get("neg_risk")
    if isinstance(item.get("rewards"), dict):
        rules = _with_rewards(rules, item["rewards"], "min_size", "max_spread", f"{where}.rewards")
    return replace(rules, exclusive=None if risk is None else "negRisk" if risk else "")


def _compact_market(item: Mapping[str, Any], where: str) -> MarketRules:
    rules = _polymarket(item, where, "mts", "mos", "c", "condition_id", "conditionId")
    if item.get("nr") is not None:
        rules = replace(rules, exclusive="negRisk" if item["nr"] else "")
    formula = item.get("fd")
    return _with_fees(rules, formula, ("r", "e", "to", ""), where) if isinstance(formula, dict) else rules


def _book(item: Mapping[str, Any], where: str) -> MarketRules:
    return _polymarket(item, where, "tick_size", "min_order_size", "market", "asset_id")


def _new_market(item: Mapping[str, Any], where: str) -> MarketRules:
    rules = _polymarket(item, where, "order_price_min_tick_size", "", "condition_id", "market")
    if item.get("fees_enabled") is False:
        return replace(rules, fees=polymarket_fees(0), fee_formula=_FORMULA)
    schedule = item.get("fee_schedule")
    keys = ("rate", "exponent", "taker_only", "rebate_rate")
    return _with_fees(rules, schedule, keys, where) if isinstance(schedule, dict) else rules


def _tick_change(item: Mapping[str, Any], where: str) -> MarketRules:
    return _polymarket(item, where, "new_tick_size", "", "market", "asset_id")


def _polymarket(item: Mapping[str, Any], where: str, tick: str, size: str, *names: str) -> MarketRules:
    step = item.get(tick)
    least = item.get(size)
    rules = MarketRules("polymarket", _name(item, where, *names, required=False))
    if step is not None:
        px = _units(step, PX_ONE, f"{where}.{tick}")
        if px <= 0 or PX_ONE % px:
            raise RefreshError(f"{where}.{tick}: {step!r} does not divide a dollar; expected a tick such as 0.01")
        rules = replace(rules, tick_label=_decimal(px), ticks=whole(px))
    if least is not None:
        rules = replace(rules, min_qty=_units(least, LOTS_PER_CONTRACT, f"{where}.{size}"))
    return rules


def _with_rewards(rules: MarketRules, item: Mapping[str, Any], size: str, spread: str, where: str) -> MarketRules:
    least, cents = item.get(size), item.get(spread)
    if least is None or cents is None:
        return rules
    return replace(
        rules,
        reward_min_qty=_units(least, LOTS_PER_CONTRACT, f"{where}.{size}"),
        reward_spread_px=_units(cents, PX_ONE // 100, f"{where}.{spread}"),
    )


_FORMULA = "exponent 1, takers only"


def _with_fees(rules: MarketRules, schedule: Mapping[str, Any], keys: tuple[str, ...], where: str) -> MarketRules:
    rate, exponent, taker_only = (schedule.get(key) for key in keys[:3])
    share = schedule.get(keys[3])
    if rate is None:
        return rules
    rate = _number(rate, f"{where}.{keys[0]}")
    power = _number(1 if exponent is None else exponent, f"{where}.{keys[1]}")
    payers = "takers only" if taker_only in (None, True) else "makers pay"
    try:
        fees = polymarket_fees(rate, float(power), payers == "takers only")
    except ValueError:
        fees = None  # a formula that is not known: drift reports it
    return replace(
        rules,
        fees=fees,
        fee_formula=f"exponent {power}, {payers}",
        rebate_ppm=None if share is None else _units(share, MAX_PPM, f"{where}.{keys[3]}"),
    )


def _ranges(ranges: Any, where: str) -> TickTable:
    if not isinstance(ranges, list) or not all(isinstance(item, dict) for item in ranges):
        raise RefreshError(f"{where}: {ranges!r}; expected a list of objects with start, end and step")
    table = tuple(
        TickRange(*(_units(item.get(key), PX_ONE, f"{where}[{index}].{key}") for key in ("start", "end", "step")))
        for index, item in enumerate(ranges)
    )
    try:
        tick_prices(table)
    except ValueError as error:
        raise RefreshError(f"{where}: {error}") from error
    return table


def _units(value: Any, scale: int, where: str) -> int:
    """A decimal, text or number, as a whole multiple of 1 / scale."""
    exact = _number(value, where) * scale
    if exact.denominator != 1:
        raise RefreshError(f"{where}: {value!r} is not a multiple of {Fraction(1, scale)}")
    return int(exact)


def _number(value: Any, where: str) -> Fraction:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            pass  # said below, with where it stands
    raise RefreshError(f"{where}: {value!r}; expected a decimal number")


def _text(item: Mapping[str, Any], key: str, where: str) -> str | None:
    value = item.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)  # a stamp
    raise RefreshError(f"{where}.{key}: {value!r}; expected text")


def _name(item: Mapping[str, Any], where: str, *keys: str, required: bool = True) -> str:
    for key in keys:
        if isinstance(item.get(key), str) and item[key]:
            return str(item[key])
    if required:
        raise RefreshError(f"{where}: no name; expected {' or '.join(keys)}")
    return where


def _decimal(px: int) -> str:
    return f"{px / PX_ONE:.4f}".rstrip("0")


# First match by any of these keys. A series is asked for before an event: fee changes name both.
_READERS = (
    ({"price_level_structure"}, _kalshi_market),
    ({"fee_type", "fee_multiplier"}, _kalshi_series),
    ({"collateral_return_type", "fee_type_override"}, _kalshi_event),
    ({"orderPriceMinTickSize"}, _gamma_market),
    ({"minimum_tick_size"}, _clob_market),
    ({"mts"}, _compact_market),
    ({"order_price_min_tick_size"}, _new_market),
    ({"tick_size"}, _book),
    ({"new_tick_size"}, _tick_change),
)
