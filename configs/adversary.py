"""``python -m evaluation adversary``: search for rows on which a policy fails, and keep them.

    python -m evaluation adversary --policy baseline:joiner --score loss --threshold 2 env=market_making
    python -m evaluation adversary --policy checkpoints/<run> --score kill --threshold 0.2

Words behind the options are overrides of evaluate.py's configuration: the environment that a baseline plays in. A run
plays in its own. What is found is confirmed on fresh seeds, minimised and added to the table of failures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir

from agents.policy import BASELINE
from configs.regression import env_facts, player_of
from configs.schema import DirectionalConfig, EvaluateConfig, read_run_config, register, to_config
from configs.workers import check_workers, hired
from curricula.adversary import (
    LIBRARY,
    SEARCHERS,
    Case,
    Minimal,
    Space,
    append_case,
    deepen,
    hunt,
    load_space,
    make_case,
    make_searcher,
    minimise,
)
from evaluation.adversary import find_score
from evaluation.compiled import check_names
from evaluation.prey import Prey, Verdict
from sim.scenarios.row import FIELDS, ROW, make_rows


def main(arguments: list[str]) -> int:
    """Search, report a line of JSON a search; 0 also where nothing was found."""
    options = _parser().parse_args(arguments)
    env = _env_of(options.policy, options.overrides)
    base = make_rows(1, life_s=options.life_s)
    space = load_space(options.space, base)
    with hired(options.workers) as workers:
        play = player_of(options.policy, env, options.venue, options.fill_model, workers)
        for seed in range(options.seed, options.seed + options.searches):
            prey = Prey(
                play, options.score, options.threshold, episodes=options.episodes,
                confirm_episodes=options.confirm_episodes, seed=seed,
            )  # fmt: skip
            sys.stdout.write(json.dumps(_search(options, env, prey, space)) + "\n")
            sys.stdout.flush()
    return 0


def _search(options: argparse.Namespace, env: DirectionalConfig, prey: Prey, space: Space) -> dict[str, Any]:
    """One search: what it found, and which case was kept of it."""
    searcher = make_searcher(options.searcher, space.dimension, prey.seed)

    def score(points: np.ndarray, generation: int) -> np.ndarray:
        return prey.scores(space.rows(points), generation)

    found = hunt(
        searcher, score, lambda point: prey.confirm(space.rows(point[None])), options.threshold, options.evaluations
    )
    line: dict[str, Any] = {
        "policy": options.policy, "searcher": options.searcher, "seed": prey.seed, "score": options.score,
        "threshold": options.threshold, "evaluations": found.evaluations, "not_confirmed": found.rejected,
        "best": found.best, "found": found.point is not None,
    }  # fmt: skip
    if found.point is None:
        return {**line, "tests": prey.tests}
    worst = deepen(
        searcher, score, lambda point: prey.glimpse(space.rows(point[None])), found.point, found.generations,
        options.deepen,
    )  # fmt: skip
    least = minimised(prey, space, worst)
    values, verdict = proven(prey, space, [least.values, space.values(worst), space.values(found.point)])
    line |= {"tests": prey.tests, "trials": least.trials, "case": None}
    if verdict.failed:
        case = _case(options, env, space.row(values), verdict)
        line |= {"added": append_case(case, options.out), "case": case.name, "values": dict(case.values),
                 "value": case.value, "table": str(options.out)}  # fmt: skip
    return line


def minimised(prey: Prey, space: Space, point: np.ndarray) -> Minimal:
    """The failure at ``point`` with as few fields as it takes, each as near to the space's own row as it may be.

    All of its fields where it does not hold by the margin that this takes.
    """
    defaults = {axis.name: float(space.base[axis.name][0]) for axis in space.axes}
    axes = {axis.name: axis for axis in space.axes}
    values = space.values(point)
    if not prey.holds(space.row(values)):
        return Minimal(values, 1)
    return minimise(values, defaults, axes, lambda tried: prey.holds(space.row(tried)))


def proven(prey: Prey, space: Space, forms: Sequence[Mapping[str, float]]) -> tuple[Mapping[str, float], Verdict]:
    """The first of several forms of a failure that fails a test on episodes that none was chosen by.

    The last one with its verdict where none does.
    """
    tried: list[Mapping[str, float]] = []
    for values in forms:
        if values in tried:
            continue
        tried.append(values)
        verdict = prey.test(space.row(values))
        if verdict.failed:
            break
    return tried[-1], verdict


def _case(options: argparse.Namespace, env: DirectionalConfig, row: np.ndarray, verdict: Verdict) -> Case:
    label = Path(options.policy.removeprefix(BASELINE)).name.split("?")[0].split("@")[0]
    return make_case(
        label, policy=options.policy, found=f"{datetime.now(UTC):%Y-%m-%d}", score=options.score,
        threshold=options.threshold, value=float(f"{verdict.value:.6g}"), episodes=options.confirm_episodes,
        seed=verdict.seed, venue=options.venue, fill_model=options.fill_model,
        what=find_score(options.score).text.format(verdict.value), values=_changed(row), env=env_facts(env),
    )  # fmt: skip


def _changed(row: np.ndarray) -> Mapping[str, float]:
    """Fields of a row that differ from their defaults."""
    default = make_rows(1)
    return {name: float(row[name][0]) for name in ROW.names or () if row[name][0] != default[name][0]}


def _env_of(policy: str, overrides: list[str]) -> DirectionalConfig:
    """The environment a policy plays in. Raises ValueError for a baseline that is none, and a run with overrides."""
    if not policy.startswith(BASELINE):
        if overrides:
            raise ValueError(f"{policy} plays in the environment of its run: leave out {', '.join(overrides)}")
        return read_run_config(Path(policy)).env
    check_names({policy: policy})
    register()
    with initialize_config_dir(str(Path(__file__).parent), version_base=None):
        composed = compose("evaluate", ["scenario=synthetic", "policies=[noop]", *overrides])
    config: EvaluateConfig = to_config(composed)
    return config.env or DirectionalConfig()


def _workers(text: str) -> int | str:
    try:
        return check_workers(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation adversary", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", required=True, help="baseline:NAME?key=value, or a run's folder")
    parser.add_argument("--score", required=True, help="loss, cvar, drawdown (%% of the cash), kill (share), cost:NAME")
    parser.add_argument("--threshold", type=float, required=True, help="a score above it is a failure")
    parser.add_argument("--searcher", choices=list(SEARCHERS), default="cem")
    parser.add_argument("--space", default="market", help="of curricula/adversary/spaces, or a file ending in .toml")
    parser.add_argument("--evaluations", type=int, default=2000, help="rows a search scores at most")
    parser.add_argument("--searches", type=int, default=1, help="each finds one failure at most")
    parser.add_argument("--seed", type=int, default=0, help="of the first search")
    parser.add_argument("--episodes", type=int, default=16, help="that a row is scored on")
    parser.add_argument("--confirm-episodes", type=int, default=128, help="that a failure is confirmed and kept on")
    parser.add_argument(
        "--deepen", type=int, default=10, help="generations behind the first failure, for a clearer one"
    )
    parser.add_argument("--life-s", type=float, default=60.0, help=f"of the market; {FIELDS['life_s'].meaning}")
    parser.add_argument("--venue", default="polymarket")
    parser.add_argument("--fill-model", default="queue")
    parser.add_argument(
        "--workers", type=_workers, default=1, metavar="N|ray",
        help="processes on this machine that play, or a Ray cluster; no result depends on it (default 1)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=LIBRARY, help="the table of failures to add to")
    parser.add_argument("overrides", nargs="*", help="of a baseline's environment, such as env=market_making")
    return parser
