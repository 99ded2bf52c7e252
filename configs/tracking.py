"""What entry points track: their config, the figures in the files they leave, and those files as artefacts.

A run's own files are the truth and are written first; what is sent is read from them. Names: docs/metrics.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from agents.checkpoint import RunFolder
from agents.tracking.config import TrackingConfig
from agents.tracking.tracker import Tracker
from configs.gates import FILE as GATE
from configs.schema import Config, EvaluateConfig
from evaluation import by_entry, pareto_report
from evaluation.grid import FAILED, FINISHED
from evaluation.montecarlo import report as montecarlo
from evaluation.pareto import Search

Values = dict[str, Any]
_MADE = ("git", "versions", "data", "sheet", "ancestors")  # of a manifest: the state of code and data


def track_run(config: Config, run: RunFolder, group: str | None) -> Tracker:
    """Of a training run. ``group``: the grid or curriculum that it is one of."""
    return Tracker(
        run.path, config.tracking, name=run.manifest["run"], job="train",
        about=_plain(config) | _made(run.manifest), group=group,
        follow={"train/": run.path / "metrics.jsonl", "speed/": run.path / "speed.jsonl"},
        run_id=_joined(group), tensorboard=config.tensorboard,
    )  # fmt: skip


def track_course(config: Config, folder: Path, group: str | None) -> Tracker:
    """Of a curriculum as a whole; its rounds are runs of their own in the same group."""
    return Tracker(
        folder, config.tracking, name=folder.name, job="curriculum", about=_plain(config),
        group=group or folder.name, tensorboard=config.tensorboard,
    )  # fmt: skip


def track_evaluation(config: EvaluateConfig, folder: Path, manifest: Mapping[str, Any], group: str | None) -> Tracker:
    """Of an evaluation, whatever it plays."""
    return Tracker(
        folder, config.tracking, name=folder.name, job="evaluate", about=_plain(config) | _made(manifest),
        group=group, run_id=_joined(group), tensorboard=config.tensorboard,
    )  # fmt: skip


def track_search(config: Config, folder: Path, search: Search) -> Tracker:
    """Of a search for parameters as a whole; its trials are runs of their own in the same group."""
    about = {"search": search._replace(facts=dict(search.facts))._asdict(), **_plain(config)}
    return Tracker(folder, config.tracking, name=folder.name, job="tune", about=about, group=folder.name)


def track_grid(config: TrackingConfig, folder: Path, plan: Mapping[str, Any]) -> Tracker:
    """Of a grid as a whole; its jobs are runs of their own in the same group."""
    return Tracker(folder, config, name=folder.name, job="grid", about={"grid": dict(plan)}, group=folder.name)


def send_grid(tracker: Tracker, rows: Sequence[Mapping[str, Any]], tables: Sequence[Path]) -> None:
    """How many jobs of a grid came to what, and its tables as an artefact."""
    states = [row["status"] for row in rows]
    tracker.summary({f"grid/{name}": states.count(name) for name in (FINISHED, FAILED)} | {"grid/jobs": len(rows)})
    tracker.artifact("report", {path.name: path for path in tables})


def track_session(
    config: TrackingConfig, folder: Path, resolved: Mapping[str, Any], made: Mapping[str, Any], *, tensorboard: bool
) -> Tracker:
    """Of a session beside a venue."""
    about = {**resolved, "made": dict(made)}
    return Tracker(folder, config, name=folder.name, job="shadow", about=about, tensorboard=tensorboard)


def send_found(tracker: Tracker, folder: Path) -> None:
    """The figures in ``folder``, and what people read there as an artefact."""
    tracker.attempt(partial(_send_found, tracker, folder))


def _send_found(tracker: Tracker, folder: Path) -> None:
    for name, named in _FIGURES.items():
        path = folder / name
        if path.is_file():
            tracker.summary(dict(named(json.loads(path.read_bytes()))))
    names = [*_FIGURES, *_PAGES]
    plots = {f"plots/{path.name}": path for path in sorted((folder / "plots").glob("*.png"))}
    tracker.artifact("report", {**{name: folder / name for name in names}, **plots})


def send_policy(tracker: Tracker, run: RunFolder) -> None:
    """The policy, and what is needed to use it."""
    names = ("policy.zip", "config.yaml", "manifest.json")
    tracker.artifact("policy", {name: run.path / name for name in names})


def _gate(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "gate/passed", found["passed"]
    for one in found["verdicts"]:
        yield f"gate/{one['name']}/passed", one["passed"]
        yield f"gate/{one['name']}/value", one["value"]


def _course(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "course/status", found["status"]
    for one in found["rounds"]:
        yield f"course/{one['run']}/passed", one["passed"]


def _scorecard(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for fills, policies in found["results"].items():
        for policy, result in policies.items():
            yield from _estimates(f"eval/{fills}/{policy}", result["metrics"])
    for fills, baselines in found["advantage"].items():
        yield from _estimates(f"eval/{fills}/advantage", baselines)
    yield "eval/episodes", found["episodes"]
    yield "eval/headline", found["headline"]


def _library(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in found["entries"]:
        for policy, figures in entry["results"].items():
            yield from _estimates(f"library/{entry['name']}/{policy}", figures)


def _montecarlo(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for policy, result in found["results"].items():
        yield from _estimates(f"montecarlo/{policy}", result["metrics"])
        yield f"montecarlo/{policy}/episodes", result["episodes"]


def _session(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("passed", "killed", "decisions", "state", "why"):
        yield f"shadow/{name}", found[name]
    yield "shadow/seconds", (found["ended_ns"] - found["started_ns"]) / 1e9
    for one in found["accounts"]:
        yield from account_values(one)
    for check in found["checks"]:
        yield f"shadow/check/{check['name']}", check["ok"]
    if found["latency"]["count"]:
        for share in ("p50", "p99"):
            yield f"shadow/latency_{share}_ms", found["latency"][f"{share}_ns"] / 1e6


def account_values(account: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Of an account of a session: ``name``, ``result_uusd``, ``drawdown_uusd``, ``fills``, ``rejects``."""
    head = f"shadow/{account['name']}"
    for money in ("result", "drawdown"):
        yield f"{head}/{money}_usd", account[f"{money}_uusd"] / 1e6
    for count in ("fills", "rejects"):
        yield f"{head}/{count}", account[count]


def _estimates(head: str, found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The values, and the ends of their intervals."""
    for name, one in found.items():
        yield f"{head}/{name}", one["value"]
        yield f"{head}/{name}_low", one["low"]
        yield f"{head}/{name}_high", one["high"]


def _search(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("trials", "failed", "within_budgets"):
        yield f"tune/{name}", found[name]
    best = found["best_within"][list(found["best_within"])[-1]]  # within all budgets
    for kind in ("figures", "fresh"):
        for name, value in ((best or {}).get(kind) or {}).items():
            yield f"tune/best/{kind}/{name}", value
    if found["deflated_sharpe"]:
        yield "tune/deflated_sharpe", found["deflated_sharpe"]["probability"]


_FIGURES: dict[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, Any]]]] = {
    GATE: _gate,
    "course.json": _course,
    "scorecard.json": _scorecard,
    by_entry.FILE: _library,
    montecarlo.FILE: _montecarlo,
    "summary.json": _session,
    pareto_report.SUMMARY: _search,
}
_PAGES = (*pareto_report.FILES, "course.html", "report.html", by_entry.PLOT, montecarlo.PLOT)


def _plain(config: Config | EvaluateConfig) -> Values:
    return OmegaConf.to_container(OmegaConf.structured(config))  # type: ignore[return-value]


def _made(manifest: Mapping[str, Any]) -> Values:
    return {"made": {name: manifest[name] for name in _MADE if name in manifest}}


def _joined(group: str | None) -> str | None:
    """The W&B run that an agent of W&B's sweeps has made for us; a run among several cannot be it."""
    return os.environ.get("WANDB_RUN_ID") if group is None else None
