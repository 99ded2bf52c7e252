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
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir

from agents.policy import BASELINE
from configs.regression import player_of
from configs.schema import DirectionalConfig, EvaluateConfig, read_run_config, register, to_config
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
from evaluation.adversary import Player, fails, find_score, score_interval, scores
from evaluation.compiled import check_names
from sim.scenarios.row import FIELDS, ROW, make_rows

CONFIRM_SEED = 10**9  # of the chance that no search meets
_SEEDS = 100_000  # generations that a search may have


class Prey:
    """A policy that is hunted: how it scores on rows, and whether it fails on one for certain."""

    def __init__(self, play: Player, score: str, threshold: float, episodes: int, confirm_episodes: int) -> None:
        find_score(score)
        self.play, self.score, self.threshold = play, score, threshold
        self.episodes, self.confirm_episodes = episodes, confirm_episodes

    def scorer(self, space: Space, seed: int) -> Callable[[np.ndarray, int], np.ndarray]:
        """Scores of points, each generation on chance of its own; ``seed`` is the search's."""
        return lambda points, generation: scores(
            self.play(space.rows(points), self.episodes, _SEEDS * seed + generation), self.score
        )

    def value(self, row: np.ndarray) -> tuple[float, bool]:
        """The score of a row on fresh chance, and whether it fails there with confidence."""
        interval = score_interval(self.play(row, self.confirm_episodes, CONFIRM_SEED), self.score)
        return interval.value, fails(interval, self.threshold)

    def minimised(self, space: Space, point: np.ndarray) -> Minimal:
        """The failure at ``point`` with as few fields as it takes, each as near to the space's own row as it may be."""
        defaults = {axis.name: float(space.base[axis.name][0]) for axis in space.axes}
        axes = {axis.name: axis for axis in space.axes}
        return minimise(space.values(point), defaults, axes, lambda values: self.value(space.row(values))[1])


def main(arguments: list[str]) -> int:
    """Search, report a line of JSON a search; 0 also where nothing was found."""
    options = _parser().parse_args(arguments)
    env = _env_of(options.policy, options.overrides)
    base = make_rows(1, life_s=options.life_s)
    space = load_space(options.space, base)
    play = player_of(options.policy, env, options.venue, options.fill_model)
    prey = Prey(play, options.score, options.threshold, options.episodes, options.confirm_episodes)
    for seed in range(options.seed, options.seed + options.searches):
        searcher = make_searcher(options.searcher, space.dimension, seed)
        found = hunt(
            searcher, prey.scorer(space, seed), lambda point: prey.value(space.rows(point[None]))[1],
            options.threshold, options.evaluations,
        )  # fmt: skip
        line: dict[str, Any] = {
            "policy": options.policy, "searcher": options.searcher, "seed": seed, "score": options.score,
            "threshold": options.threshold, "evaluations": found.evaluations, "not_confirmed": found.rejected,
            "best": found.best, "found": found.point is not None,
        }  # fmt: skip
        if found.point is not None:
            point = deepen(
                searcher, prey.scorer(space, seed), lambda point: prey.value(space.rows(point[None]))[0],
                found.point, found.generations, options.deepen,
            )  # fmt: skip
            least = prey.minimised(space, point)
            case = _case(options, prey, space, least)
            added = append_case(case, options.out)
            line |= {"case": case.name, "added": added, "values": dict(case.values), "value": case.value,
                     "table": str(options.out), "trials": least.trials}  # fmt: skip
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return 0


def _case(options: argparse.Namespace, prey: Prey, space: Space, least: Minimal) -> Case:
    row = space.row(least.values)
    value, _ = prey.value(row)
    label = Path(options.policy.removeprefix(BASELINE)).name.split("?")[0].split("@")[0]
    return make_case(
        label, policy=options.policy, found=f"{datetime.now(UTC):%Y-%m-%d}", score=options.score,
        threshold=options.threshold, value=float(f"{value:.6g}"), episodes=options.confirm_episodes, seed=CONFIRM_SEED,
        venue=options.venue, fill_model=options.fill_model, what=find_score(options.score).text.format(value),
        values=_changed(row),
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
    parser.add_argument("--out", type=Path, default=LIBRARY, help="the table of failures to add to")
    parser.add_argument("overrides", nargs="*", help="of a baseline's environment, such as env=market_making")
    return parser
