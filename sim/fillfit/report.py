"""Fit on early days, judge on unseen ones: the figures, the row fields, the calibration plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sim.activity import MEMORIES
from sim.fillfit.features import DISTANCE_NAMES, Sample
from sim.fillfit.model import Fit, fit, fit_coin, predict, wrong_signs
from sim.fillfit.scores import Score, bins, brier_skill, calibration_error, coin_probability, with_interval
from sim.fillmodel import COIN_TERMS, TERMS

_COIN_FIELDS = ("fill_life_s", "fill_memory", "fill_move_memory", "fill_base", *(f"fill_{t}" for t in COIN_TERMS))
MAX_ERROR = 0.05
MIN_SKILL = 0.1


class Data(NamedTuple):
    """What one set gave: early and unseen orders, by label, and the days they come from."""

    name: str
    early_days: list[str]
    unseen_days: list[str]
    early: dict[str, Sample]  # by label
    unseen: dict[str, Sample]


def judge(data: Data, settings: dict[str, Any], l2: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fit every label on the early orders, score it on the unseen ones.

    Returns the report, ready for JSON, and the unseen probabilities by label. Raises ValueError where data do not do.
    """
    report: dict[str, Any] = {
        "set": data.name, "fitted_on": data.early_days, "judged_on": data.unseen_days, "settings": settings, "l2": l2,
        "labels": {},
    }  # fmt: skip
    probabilities = {}
    for label, early in data.early.items():
        model = fit(early.terms, early.filled, l2=l2)
        unseen = data.unseen[label]
        probabilities[label] = predict(model, unseen.terms)
        report["labels"][label] = {
            **_describe(model, early, settings),
            "unseen": scores(probabilities[label], unseen),
            "early": scores(predict(model, early.terms), early, intervals=False),
        }
    report["coin"] = _coin(data, settings, l2, probabilities["first"])
    return report, probabilities


def scores(probability: np.ndarray, sample: Sample, *, intervals: bool = True) -> dict[str, Any]:
    """Calibration error over all rows, and by distance the base rate, skill and calibration error."""
    resamples = {} if intervals else {"resamples": 1}
    out: dict[str, Any] = {
        "orders": len(sample.filled),
        "clusters": len(np.unique(sample.cluster)),
        "base_rate": float(sample.filled.mean()),
        "mean_probability": float(probability.mean()),
        "calibration_error": _plain(with_interval(
            calibration_error, probability, sample.filled, sample.cluster, **resamples
        ), intervals),
        "bins": [part._asdict() for part in bins(probability, sample.filled)],
        "by_distance": {},
    }  # fmt: skip
    for number, name in enumerate(DISTANCE_NAMES, start=-1):
        rows = sample.distance == number
        if not rows.any():
            continue
        skill = with_interval(brier_skill, probability[rows], sample.filled[rows], sample.cluster[rows], **resamples)
        out["by_distance"][name] = {
            "orders": int(rows.sum()),
            "base_rate": float(sample.filled[rows].mean()),
            "mean_probability": float(probability[rows].mean()),
            "brier_skill": _plain(skill, intervals),
        }
    out["reached"] = _reached(out["calibration_error"], [part["brier_skill"] for part in out["by_distance"].values()])
    return out


def _reached(error: dict[str, float | None], skills: list[dict[str, float | None]]) -> bool:
    """Whether the worse ends of all intervals lie within the bounds. One cluster has no interval, and reaches nothing.

    Where none was asked for the estimates themselves are taken.
    """
    worst = error.get("high", error["value"])
    least = [skill.get("low", skill["value"]) for skill in skills]
    return worst is not None and worst < MAX_ERROR and all(low is not None and low >= MIN_SKILL for low in least)


def row_fields(model: Fit, settings: dict[str, Any]) -> dict[str, float]:
    """A fitted model as fields of a scenario row: ``fill_`` + the term, the life and both memories."""
    fields = {
        "fill_life_s": settings["life_s"],
        "fill_memory": MEMORIES.index(settings["memory"]),
        "fill_move_memory": MEMORIES.index(settings["move_memory"]),
        "fill_base": round(model.base, 4),
    }
    return fields | {f"fill_{name}": round(float(b), 4) for name, b in zip(TERMS, model.coefficients, strict=True)}


def _describe(model: Fit, early: Sample, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": row_fields(model, settings),
        "orders": len(early.filled),
        "clusters": len(np.unique(early.cluster)),
        "base_rate": float(early.filled.mean()),
        "wrong_signs": wrong_signs(model),
        "term_spread": {name: round(float(s), 4) for name, s in zip(TERMS, early.terms.std(axis=0), strict=True)},
    }


def _coin(data: Data, settings: dict[str, Any], l2: float, as_forecast: np.ndarray) -> dict[str, Any]:
    """The fit for an engine whose coin falls at prints, scored as that engine would fill the unseen orders in replay.

    ``replay``: probabilities after the prints each order met; these are no forecast. ``forecast_in_replay``: the same
    of the label ``first``, whose p is a forecast and too low for a coin.
    """
    early, unseen = data.early["first"], data.unseen["first"]
    model = fit_coin(early.terms, early.filled_at, early.exposure_at, l2=l2)
    out = _describe(model, early, settings)
    out["row"] = {name: value for name, value in out["row"].items() if name in _COIN_FIELDS}
    for name, p in (("replay", predict(model, unseen.terms)), ("forecast_in_replay", as_forecast)):
        out[name] = scores(coin_probability(p, unseen.through, unseen.exposure), unseen)
    return out


def _plain(score: Score, intervals: bool) -> dict[str, float | None]:
    """JSON has no NaN."""
    ends = {"low": score.low, "high": score.high} if intervals else {}
    return {"value": score.value} | {name: None if np.isnan(end) else end for name, end in ends.items()}


def plot(path: Path, report: dict[str, Any]) -> None:
    """Calibration on unseen orders, as a PNG: share filled against probability, ten bins of equal mass."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(4.2 * len(report["labels"]), 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        for index, (label, part) in enumerate(report["labels"].items()):
            axes = figure.add_subplot(1, len(report["labels"]), index + 1)
            found = part["unseen"]["bins"]
            axes.plot([0, 1], [0, 1], color="#b9c0c8", linewidth=1.0)
            axes.plot([b["predicted"] for b in found], [b["filled"] for b in found], marker="o", color="#1f4fa3")
            error = part["unseen"]["calibration_error"]["value"]
            axes.set_title(f"{report['set']}, {label}: calibration error {error:.3f}", loc="left", fontsize=9)
            axes.set_xlabel(f"probability of a fill within {report['settings']['life_s']:g} s")
            axes.set_ylabel("share filled on unseen days")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
        figure.savefig(path, dpi=140)
