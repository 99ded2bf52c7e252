"""``python -m evaluation tune``: parameters of a baseline or of an agent, for several objectives, within budgets.

    python -m evaluation tune --out tuned/joiner --policy joiner --range size=5:100:log --range limit=10:500:log \\
        --objective result_usd --objective cvar95_usd --budget cost_kill=0.05 --trials 60 scenario=quoting
    python -m evaluation tune --out tuned/agent --range agent.learning_rate=1e-4:3e-3:log --trials 12 \\
        total_steps=2e5 scenario=quoting env=market_making agent=constrained_quoter

    python -m evaluation tune --out tuned/pbt --range agent.learning_rate=1e-4:3e-3:log --trials 8 --scheduler pbt \\
        --workers ray total_steps=2e6 scenario=quoting env=market_making agent=constrained_quoter

With ``--policy`` a trial plays a baseline on training episodes. Without, a trial is a run of train.py with the
parameters as overrides, in a process of its own, judged on the run's evaluation episodes: it costs what the run costs.
With ``--scheduler`` they run on Ray and are looked at on the way: ``asha`` stops bad ones early, ``pbt`` has them
go on from good ones with other hyperparameters.
Words behind the options are overrides of train.py. The same command goes on where it was interrupted. The front is then
played on fresh episodes: those figures count, for the others are the best of many.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from agents.checkpoint import read_manifest
from agents.cluster import running_ray
from configs.build import make_env, settled, training_scenario, trial
from configs.compose import composed
from configs.evaluator import evaluator
from configs.jobs import forget_half_report, kept_out, let_go, take
from configs.judge import judge, policies_of, with_data
from configs.scheduled import (
    SCHEDULERS,
    Schedule,
    begin_scheduled,
    check_schedule,
    looks_every,
    sampler_of,
    search_scheduled,
)
from configs.schema import ReplayConfig, read_run_config
from configs.tracking import send_found, track_search
from configs.workers import RAY, check_workers, hired
from envs.vector import TradingVectorEnv
from evaluation.compare import policy_for
from evaluation.estimates import daily_usd, figures
from evaluation.pareto import COST, SAMPLERS, Measured, Range, Search, Trial, check_search, pareto, run
from evaluation.pareto_report import write_outcome
from evaluation.report import REPORT
from evaluation.rollout import rollout
from evaluation.tune import parameters_of, spec_of
from evaluation.workers import OnRay

ROOT = Path(__file__).resolve().parent.parent
TRAIN = ROOT / "train.py"
FRESH_SEED = 2_000_000  # of episodes that neither training nor the search has seen
_ENVS = 64
_LONGEST_NAME = 120  # a file system takes 255 bytes, and writers of files add to them


def main(arguments: list[str]) -> int:
    """Search, write the tables and the plot, and print the outcome as one JSON line; 1 where every trial failed."""
    options = _parser().parse_args(arguments)
    ranges = dict(_range(text) for text in options.range)
    budgets = dict(_budget(text) for text in options.budget)
    objectives = tuple(options.objective or ("result_usd", "cvar95_usd"))
    world: Baseline | Agent
    if options.policy is not None:
        world = Baseline(options.policy, options.overrides, options.episodes)
        ranges = world.ranges(ranges)
    else:
        world = Agent(options.out, options.overrides, ranges)
    schedule = _schedule(options, world, ranges)
    facts = {**world.facts(), "overrides": options.overrides, "evaluator": evaluator()}
    check_costs([*objectives, *budgets], world.config.env.costs)
    sampler = sampler_of(options.scheduler, options.sampler)
    search = Search(ranges, objectives, budgets, sampler, options.seed, facts)
    check_search(search, options.trials)
    with ExitStack() as stack:
        take(options.out)  # two processes would propose, and write, the same
        stack.callback(let_go)
        if schedule is None:
            workers = stack.enter_context(hired(options.workers))
            trials = run(search, world.measure, options.trials, options.out, workers=workers)
        else:
            assert isinstance(world, Agent)
            search = search._replace(facts={**facts, **schedule.facts(), "trials": options.trials})
            begin_scheduled(schedule, search, options.trials)
            stack.enter_context(running_ray(_cpus(schedule)))
            workers = OnRay()
            trials = search_scheduled(schedule, search, options.trials, workers, world.judged)
        front = pareto(trials, objectives, budgets)
        fresh = {one.number: found.figures for one, found in workers.each(world.fresh, front, _called)}
    with track_search(world.config, options.out, search) as tracker:
        outcome = write_outcome(options.out, trials, search, fresh=fresh)
        send_found(tracker, options.out)
    sys.stdout.write(json.dumps({"out": str(options.out), **outcome}) + "\n")
    return 1 if outcome["failed"] == outcome["trials"] else 0


def _schedule(options: argparse.Namespace, world: Baseline | Agent, ranges: Mapping[str, Range]) -> Schedule | None:
    """How trials are scheduled; None where each runs to its end."""
    if options.scheduler is None:
        if options.every is not None:
            raise ValueError("--every is of a --scheduler: give one, or leave it out")
        return None
    if not isinstance(world, Agent):
        raise ValueError("--scheduler looks at training runs: leave out --policy")
    every = looks_every(world.config, options.every)
    workers = check_workers(options.workers)
    at_once = None if workers == RAY else int(workers)
    schedule = Schedule(options.scheduler, every, world.config, options.overrides, options.out, options.gpus, at_once)
    check_schedule(schedule, ranges, options.trials)
    return schedule


def _cpus(schedule: Schedule) -> int:
    """Of a Ray that has to be started: room for the trials at a time that were asked for."""
    return len(os.sched_getaffinity(0)) if schedule.at_once is None else math.ceil(schedule.at_once * schedule.cpus)


def _called(trial: Trial) -> str:
    return f"trial {trial.number}"


def check_costs(metrics: Sequence[str], costs: Sequence[str]) -> None:
    """Raise ValueError for a ``cost_NAME`` that the environment does not charge: every trial would find nothing."""
    for name in metrics:
        if name.startswith(COST) and name.removeprefix(COST) not in costs:
            raise ValueError(f"tune: no cost {name.removeprefix(COST)!r}; env.costs has {', '.join(costs)}")


class Baseline:
    """Trials that play a baseline: all of them the same episodes, of the training rows."""

    def __init__(self, name: str, overrides: list[str], episodes: int) -> None:
        self.name, self.config, self.episodes = name, composed(overrides), episodes

    def facts(self) -> dict[str, Any]:
        """What a trial is, beside its parameters."""
        return {"policy": self.name, "episodes": self.episodes}

    def ranges(self, asked: Mapping[str, Range]) -> dict[str, Range]:
        """What is searched: ``asked``, or where nothing is, every parameter within its bounds.

        Raises ValueError for a parameter that the baseline lacks, or a range that leaves its bounds.
        """
        known = {one.name: one for one in parameters_of(self.name, self._make_env)}
        for name, entry in asked.items():
            if name not in known:
                raise ValueError(f"tune: {self.name} has no parameter {name!r}; it has {', '.join(known)}")
            if not known[name].low <= entry.low <= entry.high <= known[name].high:
                raise ValueError(f"tune: {name} in {entry} leaves its bounds [{known[name].low}, {known[name].high}]")
        return dict(asked) or {name: Range(one.low, one.high) for name, one in known.items()}

    def measure(self, params: Mapping[str, float]) -> Measured:
        """A trial."""
        return self._play(params, self._make_env, self.episodes)

    def fresh(self, one: Trial) -> Measured:
        """A trial on what training episodes are judged by."""
        what = trial(self.config.scenario, self.config.evaluation, self.config.seed)
        make = partial(self._env, what.scenario, what.num_envs, self.config.evaluation.seed)
        return self._play(one.params, make, what.episodes)

    def _make_env(self) -> TradingVectorEnv:
        return self._env(training_scenario(self.config), min(self.episodes, _ENVS), self.config.seed)

    def _env(self, scenario: Any, num_envs: int, seed: int) -> TradingVectorEnv:
        env = settled(self.config.env, self.config.scenario)
        return make_env(env, scenario, num_envs=num_envs, seed=seed, autoreset_mode=AutoresetMode.DISABLED)

    def _play(self, params: Mapping[str, float], make: Callable[[], TradingVectorEnv], episodes: int) -> Measured:
        began, env = time.perf_counter(), make()
        played = rollout(env, policy_for(spec_of(self.name, params), env, 0), episodes)
        env.close()
        return Measured(figures(played), daily_usd(played).tolist(), time.perf_counter() - began)


class Agent:
    """Trials that are runs of train.py; the run's folder stays, as ``OUT/runs/<parameters>``."""

    def __init__(self, out: Path, overrides: list[str], ranges: Mapping[str, Range]) -> None:
        self.runs, self.overrides = out.resolve() / "runs", overrides
        self.group = [] if any("tracking.group=" in word for word in overrides) else [f"tracking.group={out.name}"]
        # what is misspelt is said now, and not by every trial
        self.config = composed(
            [
                *overrides,
                *(f"{name}={round(entry.low) if entry.whole else entry.low!r}" for name, entry in ranges.items()),
            ]
        )
        scenario = self.config.scenario
        if isinstance(scenario, ReplayConfig):
            raise ValueError(
                f"tune: scenario.kind = {scenario.kind}: a run is judged on its held-out markets, so trials would be "
                "chosen on what must stay unseen; tune on generated markets, such as scenario=synthetic"
            )

    def facts(self) -> dict[str, Any]:
        """What a trial is, beside its parameters."""
        return {"policy": None}

    def measure(self, params: Mapping[str, float]) -> Measured:
        """A trial. Raises RuntimeError with the last lines of a run that failed."""
        began, name = time.perf_counter(), self._name(params)
        run_folder = self.runs / name
        with kept_out(self.runs / f".{name}.lock") as lock:  # of a process that outlived a search which was killed
            if not (run_folder / "evaluation" / "scorecard.json").is_file():
                told = [f"run_name={name}", f"checkpoints={self.runs}", "evaluation.baselines=[noop]"]
                if run_folder.is_dir():
                    _train(lock, f"resume={run_folder}")
                else:
                    words = [f"{key}={value!r}" for key, value in params.items()]
                    _train(lock, *self.overrides, *words, *told, *self.group)
            return _read(run_folder / "evaluation", time.perf_counter() - began)

    def judged(self, run_folder: Path) -> Measured:
        """A run that a scheduler has trained, on its evaluation episodes."""
        return self._play(run_folder, "evaluation", self.config.evaluation.seed)

    def fresh(self, one: Trial) -> Measured:
        """The run of a trial judged once more, on episodes of another seed."""
        return self._play(self.runs / (one.notes.get("run") or self._name(one.params)), "fresh", FRESH_SEED)

    def _play(self, run_folder: Path, name: str, seed: int) -> Measured:
        """The figures in the run's folder ``name``, played where they are not there yet."""
        began, out = time.perf_counter(), run_folder / name
        with kept_out(self.runs / f".{run_folder.name}.lock"):
            if not (out / REPORT).is_file():
                forget_half_report(out)
                trained = read_run_config(run_folder)
                settings = replace(trained.evaluation, seed=seed, baselines=["noop"])
                what, manifest = trial(trained.scenario, settings, trained.seed), read_manifest(run_folder)
                policies = policies_of(run_folder, settings.baselines)
                judge(policies, trained.env, what, settings, out, with_data(manifest, what))
        return _read(out, time.perf_counter() - began)

    def _name(self, params: Mapping[str, float]) -> str:
        """The run's name: its parameters, or where those are too long for a folder's name a digest of them."""
        text = "_".join(f"{key.rpartition('.')[2]}-{value!r}" for key, value in params.items())
        if len(text) <= _LONGEST_NAME:
            return text
        whole = "_".join(f"{key}-{value!r}" for key, value in params.items())
        return f"{text[: _LONGEST_NAME - 17]}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"


def _train(lock: int, *words: str) -> None:
    """``lock``: a file that stays locked as long as the process lives."""
    done = subprocess.run(
        [sys.executable, str(TRAIN), *words], capture_output=True, text=True, check=False, pass_fds=(lock,)
    )
    if done.returncode:
        raise RuntimeError(f"{TRAIN.name} {' '.join(words)} ended with {done.returncode}: {done.stderr[-1500:]}")


def _read(folder: Path, seconds: float) -> Measured:
    """The agent's figures under the headline fills. A run that was judged before a crash costs nothing again."""
    card = json.loads((folder / "scorecard.json").read_text(encoding="utf-8"))
    result = card["results"][card["headline"]][card["agent"]]
    known = {
        name: float("nan") if entry["value"] is None else entry["value"] for name, entry in result["metrics"].items()
    }
    return Measured(known, result["daily_usd"], seconds)


def _range(text: str) -> tuple[str, Range]:
    """NAME=LOW:HIGH, with :log, :whole or both behind it."""
    try:
        name, bounds = text.split("=")
        low, high, *flags = bounds.split(":")
        if not set(flags) <= {"log", "whole"}:
            raise ValueError(text)
        return name, Range(float(low), float(high), "log" in flags, "whole" in flags)
    except ValueError:
        raise ValueError(f"--range {text}: expected NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=LOW:HIGH:whole") from None


def _budget(text: str) -> tuple[str, float]:
    """METRIC=MOST."""
    try:
        name, most = text.split("=")
        return name, float(most)
    except ValueError:
        raise ValueError(f"--budget {text}: expected METRIC=MOST, such as cost_kill=0.02") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the trials; the same one goes on")
    parser.add_argument("--policy", help="a baseline, such as joiner; without it trials are runs of train.py")
    parser.add_argument("--range", action="append", default=[], help="NAME=LOW:HIGH[:log][:whole], any number of times")
    parser.add_argument(
        "--objective", action="append", help="metric of docs/metrics.md; default result_usd, cvar95_usd"
    )
    parser.add_argument("--budget", action="append", default=[], help="METRIC=MOST, such as cost_kill=0.02")
    parser.add_argument("--trials", type=int, default=50, help="in all, those of earlier calls included")
    parser.add_argument("--episodes", type=int, default=512, help="that a baseline's trial plays")
    parser.add_argument("--sampler", choices=SAMPLERS, help="who proposes; default nsga2, asha: tpe, pbt: random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--workers", default="1", help="trials at a time: so many processes of this machine, or ray; default 1"
    )
    parser.add_argument(
        "--scheduler", choices=SCHEDULERS, help="look at training runs on the way: stop bad ones, or copy good ones"
    )
    parser.add_argument("--every", type=int, help="updates between two looks of the scheduler; default a tenth of them")
    parser.add_argument("--gpus", type=float, default=0.0, help="of a trial of a --scheduler; 0.5: two share one")
    parser.add_argument("overrides", nargs="*", help="of train.py: scenario=quoting env=market_making ...")
    return parser
