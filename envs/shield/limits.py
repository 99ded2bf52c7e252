"""The limits of a shield: fields with default, unit and meaning, presets, and the record that kernels read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from sim.types import LOTS_PER_CONTRACT, PX_ONE, SECOND_NS
from sim.venues.fees import MAX_QTY

PPM = 1_000_000
FOREVER = 2**62  # what an infinite limit becomes

LIMITS = np.dtype(
    [
        ("per_trade_ppm", "<i8"),
        ("per_market_ppm", "<i8"),
        ("per_event_ppm", "<i8"),
        ("gross_ppm", "<i8"),
        ("net_ppm", "<i8"),
        ("daily_loss_ppm", "<i8"),
        ("cash_buffer_ppm", "<i8"),
        ("order_size_qty", "<i8"),
        ("messages", "<i8"),
        ("message_ns", "<i8"),
        ("min_px", "<i8"),
        ("max_px", "<i8"),
        ("max_distance2_px", "<i8"),  # twice the distance: the mid is kept doubled
        ("self_cross", "<i8"),
        ("drawdown_warning_ppm", "<i8"),
        ("drawdown_critical_ppm", "<i8"),
        ("marked_loss_warning_ppm", "<i8"),
        ("marked_loss_critical_ppm", "<i8"),
        ("stale_warning_ns", "<i8"),
        ("stale_critical_ns", "<i8"),
        ("gap_critical", "<i8"),
        ("fee_change_ns", "<i8"),
        ("calm_ns", "<i8"),
        ("warning_ppm", "<i8"),
        ("warning_distance2_px", "<i8"),
        ("critical_qty", "<i8"),
    ]
)


def _limit(default: Any, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"unit": unit, "meaning": meaning})


_SHARE = "share of the starting account"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a shield keeps. The defaults are the preset ``balanced``. Raises ValueError naming the fields that clash."""

    per_trade: float = _limit(0.01, _SHARE, "most that the part of one order that opens may lose, fees included")
    per_market: float = _limit(0.10, _SHARE, "most that may be at risk in one market")
    per_event: float = _limit(0.20, _SHARE, "most that may be at risk in markets that links tie together")
    gross: float = _limit(0.50, _SHARE, "most that may be at risk in all markets together")
    net: float = _limit(0.30, _SHARE, "most that may be at risk in one direction, less what is held in the other")
    daily_loss: float = _limit(0.50, _SHARE, "most that the day's realised loss and all that is at risk may come to")
    cash_buffer: float = _limit(0.10, "share of a venue's starting cash", "cash there that opening orders must leave")
    order_size: float = _limit(500.0, "contracts", "largest order, closing ones included")
    messages: int = _limit(240, "messages", "most messages an interval; cancels count and always pass")
    message_seconds: float = _limit(60.0, "seconds", "length of that interval, counted from the episode's start")
    min_price: float = _limit(0.01, "dollars, YES price", "nothing is opened below it")
    max_price: float = _limit(0.99, "dollars, YES price", "nothing is opened above it")
    max_distance: float = _limit(0.25, "dollars", "no order is further from the mid")
    self_cross: bool = _limit(True, "yes or no", "refuse what could meet one of our own orders")
    drawdown_warning: float = _limit(0.03, _SHARE, "drawdown from the peak that warns")
    drawdown_critical: float = _limit(0.05, _SHARE, "drawdown from the peak that trips the kill switch")
    marked_loss_warning: float = _limit(0.03, _SHARE, "loss since the day's first decision, at marks, that warns")
    marked_loss_critical: float = _limit(0.05, _SHARE, "such a loss that trips the kill switch")
    stale_warning: float = _limit(60.0, "seconds", "age of the book of a market in use that warns")
    stale_critical: float = _limit(math.inf, "seconds", "such an age that trips the kill switch; inf = never")
    gap_critical: bool = _limit(True, "yes or no", "a feed that lost messages trips the kill switch")
    fee_change_seconds: float = _limit(60.0, "seconds", "how long a change of fees warns; 0 = not at all")
    calm_seconds: float = _limit(30.0, "seconds", "how long no trigger may warn before the warning ends")
    warning_factor: float = _limit(
        0.5, "share", "what is left in WARNING of order_size and of all shares but the last two"
    )
    warning_distance: float = _limit(0.01, "dollars", "in WARNING nothing is opened nearer to the mid")
    critical_size: float = _limit(100.0, "contracts", "in CRITICAL the largest order, and it only closes")

    def __post_init__(self) -> None:
        for check in (_check_types, _check_ranges, _check_order):
            check(self)

    def record(self) -> np.ndarray:
        """``(1,)`` LIMITS: shares in ppm, rounded down; sizes in lots, prices in 1e-4 dollar, times in ns."""
        out = np.zeros(1, LIMITS)
        for name in _SHARES:
            out[f"{name}_ppm"] = math.floor(getattr(self, name) * PPM + 1e-6)
        for name, target, unit in _SCALED:
            value = getattr(self, name) * unit
            out[target] = FOREVER if math.isinf(value) else round(value)
        for name in ("messages", "self_cross", "gap_critical"):
            out[name] = int(getattr(self, name))
        out["warning_ppm"] = math.floor(self.warning_factor * PPM + 1e-6)
        return out


_SHARES = (
    "per_trade", "per_market", "per_event", "gross", "net", "daily_loss", "cash_buffer", "drawdown_warning",
    "drawdown_critical", "marked_loss_warning", "marked_loss_critical",
)  # fmt: skip
_SCALED = (  # field, its name in the record, units of the record in one of the field's
    ("order_size", "order_size_qty", LOTS_PER_CONTRACT),
    ("critical_size", "critical_qty", LOTS_PER_CONTRACT),
    ("message_seconds", "message_ns", SECOND_NS),
    ("stale_warning", "stale_warning_ns", SECOND_NS),
    ("stale_critical", "stale_critical_ns", SECOND_NS),
    ("fee_change_seconds", "fee_change_ns", SECOND_NS),
    ("calm_seconds", "calm_ns", SECOND_NS),
    ("min_price", "min_px", PX_ONE),
    ("max_price", "max_px", PX_ONE),
    ("max_distance", "max_distance2_px", 2 * PX_ONE),
    ("warning_distance", "warning_distance2_px", 2 * PX_ONE),
)
_TRIGGER_SHARES = _SHARES[-4:]
# each must not be above the next: it could never bind, or the next never would
_ORDERED = (
    ("per_trade", "per_market"),
    ("per_market", "per_event"),
    ("per_event", "gross"),
    ("net", "gross"),
    ("gross", "daily_loss"),
    ("drawdown_warning", "drawdown_critical"),
    ("marked_loss_warning", "marked_loss_critical"),
    ("stale_warning", "stale_critical"),
    ("critical_size", "order_size"),
    ("warning_distance", "max_distance"),
)


def _check_types(limits: Limits) -> None:
    for entry in fields(limits):
        value = getattr(limits, entry.name)
        wanted = (bool,) if isinstance(entry.default, bool) else (int, float)
        if isinstance(value, bool) != (wanted == (bool,)) or not isinstance(value, wanted) or math.isnan(value):
            kind = "yes or no" if wanted == (bool,) else "a number"
            raise ValueError(f"limits: {entry.name} = {value!r}: expected {kind}, in {entry.metadata['unit']}")


def _check_ranges(limits: Limits) -> None:
    largest = MAX_QTY / LOTS_PER_CONTRACT
    bounds: dict[str, tuple[float, float]] = dict.fromkeys(_SHARES, (1 / PPM, 1.0))
    bounds |= dict.fromkeys(_TRIGGER_SHARES, (1 / PPM, 1000.0)) | {"cash_buffer": (0.0, 1.0)}
    bounds |= dict.fromkeys(("order_size", "critical_size"), (1 / LOTS_PER_CONTRACT, largest))
    bounds |= {"messages": (1, 10**9), "message_seconds": (1e-9, 1e9)}
    bounds |= dict.fromkeys(("stale_warning", "stale_critical"), (1e-9, math.inf))
    bounds |= dict.fromkeys(("fee_change_seconds", "calm_seconds"), (0.0, 1e9))
    bounds |= dict.fromkeys(("min_price", "max_price"), (1 / PX_ONE, 1 - 1 / PX_ONE))
    bounds |= {"max_distance": (1 / PX_ONE, 1.0), "warning_distance": (0.0, 1.0), "warning_factor": (1 / PPM, 1.0)}
    for name, (low, high) in bounds.items():
        value = getattr(limits, name)
        if not low <= value <= high:
            raise ValueError(f"limits: {name} = {value} lies outside [{low:g}, {high:g}] ({_unit(name)})")
    if limits.messages != int(limits.messages):
        raise ValueError(f"limits: messages = {limits.messages}: expected a whole number")


def _check_order(limits: Limits) -> None:
    for low, high in _ORDERED:
        if getattr(limits, low) > getattr(limits, high):
            raise ValueError(
                f"limits: {low} = {getattr(limits, low)} is above {high} = {getattr(limits, high)}: "
                f"lower the one or raise the other"
            )
    if limits.min_price >= limits.max_price:
        raise ValueError(
            f"limits: min_price = {limits.min_price} and max_price = {limits.max_price} leave no price between them"
        )
    if limits.cash_buffer + limits.per_trade > 1:
        raise ValueError(
            f"limits: cash_buffer = {limits.cash_buffer} leaves less cash than one order may lose, "
            f"per_trade = {limits.per_trade}: together they must not be above 1"
        )


def _unit(name: str) -> str:
    return next(entry.metadata["unit"] for entry in fields(Limits) if entry.name == name)


PRESETS: dict[str, Limits] = {
    "conservative": Limits(
        per_trade=0.005, per_market=0.03, per_event=0.08, gross=0.20, net=0.12, daily_loss=0.20, cash_buffer=0.50,
        order_size=100.0, messages=120, min_price=0.05, max_price=0.95, max_distance=0.10, drawdown_warning=0.01,
        drawdown_critical=0.02, marked_loss_warning=0.01, marked_loss_critical=0.02, stale_warning=30.0,
        calm_seconds=60.0, warning_factor=0.25, warning_distance=0.02, critical_size=50.0,
    ),
    "balanced": Limits(),
    "aggressive": Limits(
        per_trade=0.05, per_market=0.25, per_event=0.50, gross=0.90, net=0.70, daily_loss=0.90, cash_buffer=0.02,
        order_size=2000.0, messages=1200, min_price=0.001, max_price=0.999, max_distance=0.50, drawdown_warning=0.10,
        drawdown_critical=0.15, marked_loss_warning=0.10, marked_loss_critical=0.15, stale_warning=300.0,
        calm_seconds=10.0, warning_factor=0.75, warning_distance=0.005, critical_size=500.0,
    ),
    "small": Limits(
        per_trade=0.02, per_market=0.15, per_event=0.25, daily_loss=0.50, order_size=20.0, messages=120,
        warning_factor=0.6, critical_size=20.0,
    ),
}  # fmt: skip


def read_limits(wanted: Limits | str | Mapping[str, Any] | None) -> Limits | None:
    """Limits by themselves, by the name of a preset, or as a mapping: ``preset`` and fields that replace its own.

    None stays None: no shield. Raises ValueError for an unknown preset or field, and as :class:`Limits` does.
    """
    if wanted is None or isinstance(wanted, Limits):
        return wanted
    if isinstance(wanted, str):
        return _preset(wanted)
    if not isinstance(wanted, Mapping):
        raise ValueError(f"limits: expected a preset, one of {', '.join(PRESETS)}, a mapping or None, got {wanted!r}")
    changes = dict(wanted)
    base = _preset(changes.pop("preset", "balanced"))
    known = [entry.name for entry in fields(Limits)]
    for name in changes:
        if name not in known:
            raise ValueError(f"limits: no limit {name!r}; there are preset, {', '.join(known)}")
    return replace(base, **changes)


def _preset(name: Any) -> Limits:
    if name not in PRESETS:
        raise ValueError(f"limits: no preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]


def table() -> list[tuple[str, ...]]:
    """For the documentation: name, unit, meaning, and the value in every preset."""
    values = {name: asdict(limits) for name, limits in PRESETS.items()}
    return [
        (entry.name, entry.metadata["unit"], entry.metadata["meaning"], *(f"{v[entry.name]}" for v in values.values()))
        for entry in fields(Limits)
    ]
