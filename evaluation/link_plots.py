"""What became of arbitrage, drawn from a scorecard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evaluation.canvas import FAINT, GAIN, LOSS, blank, label, legend

_FATES = (("every leg", GAIN), ("part of every leg", "#8cc3ae"), ("orphaned legs", LOSS), ("nothing", "#d5dae0"))
_AMOUNTS = (
    ("quoted", "arb_quoted_usd", 1, "#d5dae0"),
    ("realised", "arb_realised_usd", 1, GAIN),
    ("lost by unwinding", "arb_unwind_cost_usd", -1, LOSS),
)


def traders_of(card: Mapping[str, Any]) -> list[str]:
    """Policies that attempted an arbitrage under the headline fills."""
    results = card["results"][card["headline"]]
    return [name for name in card["policies"] if results[name]["metrics"]["arb_attempts"]["value"]]


def arbitrage(card: Mapping[str, Any]) -> Figure:
    """What attempts got, and what they were worth: quoted, realised and lost by unwinding."""
    names = traders_of(card)
    metrics = [card["results"][card["headline"]][name]["metrics"] for name in names]
    figure = blank(1.1 + 0.42 * max(1, len(names)))
    left, right = figure.subplots(1, 2)
    start = np.zeros(len(names))
    for (fate, colour), share in zip(_FATES, _shares(metrics), strict=True):
        left.barh(range(len(names)), share, left=start, color=colour, height=0.62, label=fate)
        start += share
    for index, (_, key, sign, colour) in enumerate(_AMOUNTS):
        amount = [sign * (one[key]["value"] or 0.0) for one in metrics]
        right.barh(np.arange(len(names)) + 0.24 * (index - 1), amount, height=0.22, color=colour)
    right.axvline(0, color=FAINT, lw=0.8)
    for axes in (left, right):
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
    left.set_xlim(0, 100)
    label(left, "What attempts got", "% of attempts", "")
    label(right, "Quoted (grey), realised (green), lost by unwinding (red)", "dollars an episode", "")
    if names:
        legend(figure, left)
    return figure


def _shares(metrics: list[Mapping[str, Any]]) -> list[np.ndarray]:
    """Percent of the attempts with each fate, in the order of ``_FATES``, a value a policy."""
    complete, orphaned, empty = (
        100.0 * np.array([one[f"arb_{key}"]["value"] for one in metrics]) for key in ("complete", "orphaned", "empty")
    )
    return [complete, 100.0 - complete - orphaned - empty, orphaned, empty]
