"""Where two policies act differently: both asked at the places that the first of them comes to.

Of an action table a decision differs where any market's row does; on a control surface where a coordinate is further
apart than `APART` of its range. For each feature the places are cut into fifths by its value; the features in whose
fifths the share of differing decisions varies most say where the two part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evaluation.canvas import AGENT, BASELINES, blank, label, style, write_png
from evaluation.promotion.walk import Walk
from evaluation.recorder import action_names

APART = 0.1  # share of the range of a coordinate of a control surface, which is [-1, 1]
BUCKETS = 5
LEAST = 30  # places that a bucket needs
ALIKE = 0.95
SHOWN = 8  # pairs of actions, and features
_DRAWN = 4  # features on the plot
FILE = "difference.png"


def difference_view(places: Walk, sheet: Mapping[str, Any]) -> dict[str, Any]:
    """Where the leader and the first follower of ``places`` differ, as plain JSON values.

    Keys: decisions, share (of them that differ), form, pairs (an action table: [leader's, follower's, count], most
    frequent first), coordinates (a surface: mean and largest distance of each), features ([{name, spread, buckets:
    [{low, high, decisions, share}]}], the telling ones first).
    """
    ours, theirs = (action.reshape(len(action), -1) for action in places.actions[:2])
    surface = np.issubdtype(ours.dtype, np.floating)
    apart = np.abs(ours - theirs) > 2.0 * APART if surface else ours != theirs
    differs = apart.any(axis=1)
    view: dict[str, Any] = {
        "decisions": len(ours), "share": float(differs.mean()), "form": "surface" if surface else "table",
        "pairs": [], "coordinates": [],
        "features": features_that_tell(places.observations, differs, sheet["observation"]),
    }  # fmt: skip
    if surface:
        view["coordinates"] = _coordinates(ours, theirs, [entry[0] for entry in sheet["actions"]])
    else:
        view["pairs"] = _pairs(ours[apart], theirs[apart], action_names(sheet["actions"]))
    return view


def features_that_tell(observations: np.ndarray, differs: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each feature the share of ``differs`` bool ``(D,)`` by fifths of its value; the largest spread first.

    A bucket of fewer than `LEAST` places is left out, and so is a feature with fewer than two buckets. Of features that
    say the same of these places (correlated by more than `ALIKE`) the first stands for the others.
    """
    found: list[dict[str, Any]] = []
    columns = dict(zip(names, observations.T, strict=True))
    for name, values in columns.items():
        edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, BUCKETS + 1)))
        # a value at an edge belongs to the bucket that it opens; the last edge closes the last bucket
        bucket = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(len(edges) - 2, 0))
        rows = []
        for index in range(max(len(edges) - 1, 0)):
            inside = bucket == index
            if inside.sum() >= LEAST:
                rows.append({
                    "low": float(edges[index]), "high": float(edges[index + 1]), "decisions": int(inside.sum()),
                    "share": float(differs[inside].mean()),
                })  # fmt: skip
        if len(rows) > 1:
            shares = [row["share"] for row in rows]
            found.append({"name": name, "spread": max(shares) - min(shares), "buckets": rows})
    chosen: list[dict[str, Any]] = []
    for entry in sorted(found, key=lambda entry: (-entry["spread"], entry["name"])):
        if not any(_alike(columns[entry["name"]], columns[other["name"]]) for other in chosen):
            chosen.append(entry)
        if len(chosen) == SHOWN:
            break
    return chosen


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Neither is constant: a feature with two buckets is not."""
    return bool(abs(np.corrcoef(one, other)[0, 1]) > ALIKE)


def write_difference(folder: Path, view: Mapping[str, Any], leader: str, follower: str) -> Path:
    """Draw the view to ``folder/difference.png``; its path."""
    with style():
        write_png(plot(view, leader, follower), folder / FILE)
    return folder / FILE


def plot(view: Mapping[str, Any], leader: str, follower: str) -> Figure:
    """Left: what each does where they differ. Right: where that is, by the features that tell most."""
    drawn = view["features"][:_DRAWN]
    figure = blank(4.6)
    grid = figure.add_gridspec(2, 4)
    left = figure.add_subplot(grid[:, :2])
    if view["form"] == "table":
        names = [f"{one}  ·  {other}" for one, other, _ in view["pairs"]]
        sizes = [count / max(1, view["decisions"]) for _, _, count in view["pairs"]]
        what = f"{leader}  ·  {follower}"
    else:
        names = [entry["name"] for entry in view["coordinates"]]
        sizes = [entry["mean"] for entry in view["coordinates"]]
        what = "mean distance, of the range"
    left.barh(range(len(names)), [100.0 * size for size in sizes], color=AGENT, height=0.6)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    label(left, f"{100.0 * view['share']:.1f} % of {view['decisions']:,} decisions differ: {what}", "%", "")
    for index, entry in enumerate(drawn):
        axes = figure.add_subplot(grid[index // 2, 2 + index % 2])
        axes.bar(
            range(len(entry["buckets"])), [100.0 * bucket["share"] for bucket in entry["buckets"]], color=BASELINES[1]
        )
        last = len(entry["buckets"]) - 1
        axes.set_xticks([0, last], [f"{entry['buckets'][index]['low']:.2g}" for index in (0, last)])
        label(axes, entry["name"], "from", "differ, %")
    return figure


def _pairs(ours: np.ndarray, theirs: np.ndarray, names: Sequence[str]) -> list[list[Any]]:
    counts = Counter(zip(ours.tolist(), theirs.tolist(), strict=True))
    return [[names[one], names[other], count] for (one, other), count in counts.most_common(SHOWN)]


def _coordinates(ours: np.ndarray, theirs: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Distances of each coordinate, of its range; several markets' lie side by side."""
    apart = np.abs(ours.astype(np.float64) - theirs) / 2.0
    each = apart.reshape(len(apart), -1, len(names)).mean(axis=1)
    return [
        {"name": name, "mean": float(each[:, index].mean()), "largest": float(each[:, index].max())}
        for index, name in enumerate(names)
    ]
