"""How numbers are written in tables, on the terminal and in the report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from evaluation.estimates import Metric

NOT_DEFINED = "–"
MINUS = "−"
_COST = Metric("", "", 3, -1)


def number(value: float | None, metric: Metric, *, sign: bool = False) -> str:
    """A value of a metric: percent for shares, thousands separated, a true minus, a dash where it is not defined."""
    if value is None or math.isnan(value):
        return NOT_DEFINED
    scaled = 100.0 * value if metric.unit == "%" else value
    text = f"{abs(scaled):,.{metric.digits}f}"
    negative = scaled < 0 and float(text.replace(",", "")) != 0.0
    lead = MINUS if negative else "+" if sign and float(text.replace(",", "")) != 0.0 else ""
    return f"{lead}{text}"


def interval(estimate: Mapping[str, float | None], metric: Metric, *, sign: bool = False) -> tuple[str, str]:
    """An estimate of a scorecard as two texts: the value, and its interval in brackets ("" where there is none)."""
    value = number(estimate["value"], metric, sign=sign)
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        return value, ""
    return value, f"[{number(low, metric, sign=sign)}, {number(high, metric, sign=sign)}]"


def caption(metric: Metric) -> str:
    """A metric's label with its unit."""
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def metric_of(name: str, legend: Mapping[str, Mapping]) -> Metric:
    """How to show a metric of a scorecard, from the scorecard's own legend."""
    return Metric(**legend[name]) if name in legend else _COST._replace(label=name)
