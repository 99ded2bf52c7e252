"""Tuning for several objectives at once, within budgets: what `evaluation.tune` does for one, without its halving.

A trial is a set of parameters and what came of it. Optuna proposes trials (NSGA-II, TPE or at random), keeps every one
of them in a file as soon as it is over, and goes on from there. A budget is the most that a metric may be: proposals
learn from how far they miss it, and no trial that does is ever the best.

Sources: K. Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE Transactions on Evolutionary
Computation 6 (2002), with its constrained domination; Y. Ozaki et al., Multiobjective Tree-Structured Parzen Estimator,
JAIR 73 (2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tqdm import tqdm

from evaluation.deflated import Deflated, deflate
from evaluation.estimates import ARBITRAGE, METRICS, SHIELD
from evaluation.plan import PLAN, agree
from evaluation.workers import Alone, Workers

optuna.logging.set_verbosity(optuna.logging.WARNING)

JOURNAL = "trials.log"
SAMPLERS = ("nsga2", "tpe", "random")
_POPULATION = 24  # of NSGA-II
COST = "cost_"  # a cost of the environment by name, as a metric
_KNOWN = METRICS | ARBITRAGE | SHIELD
_FAR = 1e30  # how far a figure that is not defined misses its budget


class Range(NamedTuple):
    """What a parameter is searched over; on the log scale between its logarithms."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


class Measured(NamedTuple):
    """What a trial came to."""

    figures: Mapping[str, float]  # metrics by name, those of objectives and budgets among them
    daily_usd: Sequence[float] = ()  # results day by day, for the deflated Sharpe ratio
    seconds: float = 0.0


class Trial(NamedTuple):
    """A set of parameters and what came of it; ``error`` where it could not be measured."""

    number: int
    params: dict[str, float]
    figures: dict[str, float]
    daily_usd: list[float]
    seconds: float
    error: str = ""
    notes: Mapping[str, Any] = MappingProxyType({})  # of a scheduler: columns of the table of trials


class Search(NamedTuple):
    """What is looked for."""

    ranges: Mapping[str, Range]
    objectives: tuple[str, ...]  # metrics; whether more is better is known of each
    budgets: Mapping[str, float]  # by metric: the most it may be
    sampler: str = "nsga2"
    seed: int = 0
    facts: Mapping[str, Any] = MappingProxyType({})  # what else all trials must have in common; plain JSON values


def better(metric: str) -> int:
    """1 where more of a metric is better, -1 where less is. Raises ValueError for one that is neither, or unknown."""
    if metric.startswith(COST):
        return -1
    if metric not in _KNOWN or _KNOWN[metric].better == 0:
        names = ", ".join(name for name, entry in _KNOWN.items() if entry.better)
        raise ValueError(f"tune: {metric!r} cannot be an objective; expected cost_NAME or one of {names}")
    return _KNOWN[metric].better


def check_budget(metric: str) -> None:
    """Raise ValueError for a metric that is unknown, or of which more is better: a budget is the most it may be."""
    if not metric.startswith(COST) and (metric not in _KNOWN or _KNOWN[metric].better > 0):
        names = ", ".join(name for name, entry in _KNOWN.items() if entry.better <= 0)
        raise ValueError(
            f"tune: {metric!r} cannot have a budget, which is the most it may be; expected cost_NAME or one of {names}"
        )


def run(
    search: Search,
    measure: Callable[[Mapping[str, float]], Measured],
    trials: int,
    folder: Path,
    *,
    workers: Workers | None = None,
    progress: bool = True,
) -> list[Trial]:
    """Go on until ``folder`` holds ``trials`` trials; all of them, in the order they were begun.

    ``measure(params)`` tries parameters. A ValueError or RuntimeError of its own becomes the trial's ``error``; such a
    trial counts, and is never the best. A trial that was interrupted is measured again. ``workers`` measure as many
    trials at a time as they are, all of which are proposed before any of them is known: so what a search finds depends
    on their number, and not on who was faster. The same folder goes on with the same search, its facts included
    (``plan.json``): raises ValueError for another one, an unknown sampler, no objective or parameter, and no trial.
    """
    begin(search, trials, folder)
    study = optuna.create_study(
        study_name="tune",
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        load_if_exists=True,
        directions=["maximize" if better(name) > 0 else "minimize" for name in search.objectives],
    )
    study.sampler = _sampler(search, len(study.trials))
    workers = workers or Alone()
    left = _interrupted(study)
    done = len(_finished(study))
    with tqdm(total=trials, initial=min(done, trials), desc="tune", unit="trial", disable=not progress) as bar:
        while (missing := trials - len(_finished(study))) > 0:
            batch = [_asked(study, search, left) for _ in range(min(missing, workers.count))]
            jobs = [(index, dict(one.params)) for index, one in enumerate(batch)]
            for (index, _), measured in workers.each(partial(_tried, measure, search), jobs, _called):
                _tell(study, search, batch[index], measured)
                bar.update(1)
    return [_trial(frozen) for frozen in _finished(study)]


def begin(search: Search, trials: int, folder: Path) -> None:
    """Check a search, and write its plan into ``folder`` or compare it with the one there; see `run`."""
    check_search(search, trials)
    if (folder / JOURNAL).exists() and not (folder / PLAN).exists():
        raise ValueError(f"{folder}: {JOURNAL} without {PLAN}: trials of nobody knows what; name another folder")
    agree(folder, _plan(search))


def feasible(trial: Trial, budgets: Mapping[str, float]) -> bool:
    """Whether a trial was measured and keeps every budget; a figure that is not defined keeps none."""
    return not trial.error and all(trial.figures.get(name, math.nan) <= most for name, most in budgets.items())


def pareto(trials: Sequence[Trial], objectives: Sequence[str], budgets: Mapping[str, float]) -> list[Trial]:
    """The trials within budgets that no other beats: as good in every objective, and better in one."""
    kept = [trial for trial in trials if feasible(trial, budgets) and _defined(trial, objectives)]
    signs = np.array([better(name) for name in objectives])
    values = np.array([[trial.figures[name] for name in objectives] for trial in kept]).reshape(-1, len(signs)) * signs
    front = []
    for index, trial in enumerate(kept):
        beaten = (values >= values[index]).all(axis=1) & (values > values[index]).any(axis=1)
        if not beaten.any():
            front.append(trial)
    return front


def best_within(trials: Sequence[Trial], objective: str, budgets: Mapping[str, float]) -> dict[str, Trial | None]:
    """The best trial by ``objective`` without budgets, within each alone, each two, and so on; None = none keeps them.

    What a budget costs is the difference to the one without it.
    """
    out: dict[str, Trial | None] = {}
    for size in range(len(budgets) + 1):
        for names in combinations(budgets, size):
            within = {name: budgets[name] for name in names}
            kept = [trial for trial in trials if feasible(trial, within) and _defined(trial, [objective])]
            label = " and ".join(f"{name} <= {most:g}" for name, most in within.items()) or "no budget"
            out[label] = max(kept, key=lambda trial: better(objective) * trial.figures[objective], default=None)
    return out


def deflated(trials: Sequence[Trial], budgets: Mapping[str, float]) -> Deflated | None:
    """The Sharpe ratio of the best trial within ``budgets``, deflated by all that were tried; ``best`` is its number.

    None where no trial within them has one.
    """
    measured = [trial for trial in trials if not trial.error]
    within = [index for index, trial in enumerate(measured) if feasible(trial, budgets)]
    try:
        found = deflate([np.array(trial.daily_usd) for trial in measured], allowed=within)
    except ValueError:
        return None
    return found._replace(best=measured[found.best].number)


def check_search(search: Search, trials: int) -> None:
    """Raise ValueError for an unknown sampler or metric, an empty range, no objective or parameter, and no trial."""
    if search.sampler not in SAMPLERS:
        raise ValueError(f"tune: no sampler {search.sampler!r}; the samplers are {', '.join(SAMPLERS)}")
    if not search.ranges or not search.objectives or trials < 1:
        raise ValueError(
            f"tune: expected a parameter, an objective and a trial or more, got {len(search.ranges)}, "
            f"{len(search.objectives)} and {trials}"
        )
    for name in search.objectives:
        better(name)
    for name in search.budgets:
        check_budget(name)
    for name, entry in search.ranges.items():
        if not entry.low < entry.high or (entry.log and entry.low <= 0.0):
            raise ValueError(f"tune: {name} from {entry.low} to {entry.high}: expected low < high, above 0 for log")


def _sampler(search: Search, begun: int) -> optuna.samplers.BaseSampler:
    """A sampler that goes on behind ``begun`` trials with other draws than it began with."""
    seed = (search.seed + 7919 * begun) % 2**31
    if search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)


def _plan(search: Search) -> dict[str, Any]:
    """What a folder's trials have in common."""
    return {
        "ranges": {
            name: [float(entry.low), float(entry.high), entry.log, entry.whole] for name, entry in search.ranges.items()
        },
        "objectives": list(search.objectives),
        "budgets": dict(search.budgets),
        "sampler": search.sampler,
        "seed": search.seed,
        **search.facts,
    }


def _interrupted(study: optuna.Study) -> list[optuna.Trial]:
    """Trials that somebody was at when the search was killed; the first last."""
    frozen = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    return [optuna.Trial(study, one._trial_id) for one in reversed(frozen)]


def _asked(study: optuna.Study, search: Search, left: list[optuna.Trial]) -> optuna.Trial:
    """A trial with its parameters: one of those that are ``left``, which it is taken from, else a new one."""
    asked = left.pop() if left else study.ask()
    for name, entry in search.ranges.items():
        _suggest(asked, name, entry)  # what has a value keeps it
    return asked


def _tried(
    measure: Callable[[Mapping[str, float]], Measured], search: Search, job: tuple[int, Mapping[str, float]]
) -> Measured | str:
    """What was measured, or why nothing was."""
    try:
        measured = measure(job[1])
    except (ValueError, RuntimeError) as error:
        return str(error)
    missing = [name for name in (*search.objectives, *search.budgets) if name not in measured.figures]
    if missing:
        return f"tune: nothing was measured of {missing[0]!r}; there is {', '.join(measured.figures)}"
    return measured


def _called(job: tuple[int, Mapping[str, float]]) -> str:
    return f"trial of {dict(job[1])}"


def _tell(study: optuna.Study, search: Search, asked: optuna.Trial, measured: Measured | str) -> None:
    if isinstance(measured, str):
        asked.set_user_attr("error", measured[-2000:])
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return
    figures = {name: float(value) for name, value in measured.figures.items()}
    asked.set_user_attr("figures", figures)
    asked.set_user_attr("daily_usd", [float(day) for day in measured.daily_usd])
    asked.set_user_attr("seconds", measured.seconds)
    for name, most in search.budgets.items():
        asked.set_constraint(name, _miss(figures[name], most))
    values = [figures[name] for name in search.objectives]
    if all(math.isfinite(value) for value in values):
        study.tell(asked, values)
    else:
        study.tell(asked, state=optuna.trial.TrialState.FAIL)


def _miss(value: float, most: float) -> float:
    return value - most if math.isfinite(value) else _FAR


def _suggest(asked: optuna.Trial, name: str, entry: Range) -> float:
    if entry.whole:
        return asked.suggest_int(name, round(entry.low), round(entry.high), log=entry.log)
    return asked.suggest_float(name, entry.low, entry.high, log=entry.log)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    return study.get_trials(deepcopy=False, states=over)


def _trial(frozen: optuna.trial.FrozenTrial) -> Trial:
    attrs = frozen.user_attrs
    return Trial(
        frozen.number, dict(frozen.params), dict(attrs.get("figures", {})), list(attrs.get("daily_usd", ())),
        float(attrs.get("seconds", 0.0)), str(attrs.get("error", "")),
    )  # fmt: skip


def _defined(trial: Trial, objectives: Sequence[str]) -> bool:
    return all(math.isfinite(trial.figures.get(name, math.nan)) for name in objectives)
