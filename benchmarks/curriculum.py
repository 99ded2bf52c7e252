"""Learning by a curriculum beside learning the last phase at once: the same steps, several seeds, one judge.

Every run is ``python train.py`` in a process of its own, in ``--out``; what is there is not trained again, and a run
that was killed goes on. Both arms are judged on the last phase's validation rows, which neither has trained on, on the
same episodes, so that their difference is paired. Gates do not stop anybody: both arms spend all their steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.machine import describe, print_result
from configs.build import trial_env
from configs.gates import gate_trial
from configs.schema import phase_of, read_run_config
from evaluation.bootstrap import bootstrap, difference
from evaluation.canvas import AGENT, BASELINES, blank, label, style, write_png
from evaluation.compare import policy_for
from evaluation.episodes import Episodes
from evaluation.metrics import expected_shortfall
from evaluation.rollout import rollout
from sim.types import UUSD

ROOT = Path(__file__).resolve().parents[1]
LAST = "4-phase4"
QUICK = ("evaluation.baselines=[noop]", "evaluation.fill_models=[queue]", "evaluation.failures=null")
# the surroundings of +curriculum=full, for who begins with its last phase
FULL = (
    "agent=constrained_ppo", "scenario.rows.life_s=[60,180]", "scenario.row_count=1024",
    "env.features=[book,time,portfolio,orders,signal,flow,anchors,liquidity,links,fair]",
)  # fmt: skip
# gates stop nobody here: they need not tell a rank correlation to a tenth
BRIEF = tuple(f"curriculum.phases.phase{number}.gate.episodes=4096" for number in (1, 2, 3, 4))
ARMS = {
    "curriculum": ("+curriculum=full", "curriculum.enforce=false", *BRIEF),
    "at_once": ("+curriculum=phase4", *FULL, BRIEF[-1]),
}


def train(arm: str, seed: int, steps: float, out: Path, more: list[str]) -> Path:
    """The folder of the run that has learnt the last phase; trained where it is not there yet."""
    folder = out / f"{arm}-{seed}"
    last = folder / LAST if arm == "curriculum" else folder
    if (folder / "config.yaml").exists() and read_run_config(folder).total_steps != steps:
        raise ValueError(f"{folder}: it was begun with other --steps; name another --out")
    if (last / "evaluation" / "report.html").exists():
        return last
    command = [sys.executable, str(ROOT / "train.py")]
    if folder.exists():
        command += [f"resume={folder}"]
    else:
        command += [*ARMS[arm], *QUICK, f"seed={seed}", f"total_steps={steps}", f"checkpoints={out}"]
        command += [f"run_name={folder.name}", *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return last


def play(run: Path, episodes: int) -> Episodes:
    """The run's most likely actions on the validation rows of the last phase."""
    config = read_run_config(run)
    phase = phase_of(config)
    assert phase is not None
    phase.gate.episodes = episodes
    env = trial_env(config.env, gate_trial(config), config.evaluation)(config.env.fill_model)
    played = rollout(env, policy_for(run, env, config.evaluation.seed), episodes, label=run.parent.name)  # type: ignore[arg-type]
    env.close()
    return played


def run(seeds: int, steps: float, episodes: int, out: Path, more: list[str]) -> dict[str, Any]:
    """Train both arms, judge, compare seed by seed."""
    lines = []
    for seed in range(seeds):
        found: dict[str, Any] = {"seed": seed}
        results = {}
        for arm in ARMS:
            last = train(arm, seed, steps, out, more)
            played = play(last, episodes)
            results[arm] = played.result_uusd / UUSD
            found[arm] = _figures(played, last)
        less = difference(results["curriculum"], results["at_once"], np.arange(episodes))
        found["advantage"] = [round(value, 3) for value in less]
        print(json.dumps(found), file=sys.stderr)
        lines.append(found)
    gained = np.array([line["advantage"][0] for line in lines])
    around = bootstrap(lambda weights: weights @ gained / weights.sum(-1), len(gained))
    return {
        "benchmark": "curriculum",
        "steps": int(steps),
        "episodes": episodes,
        "seeds": lines,
        "advantage_of_seeds": [None if np.isnan(value) else round(value, 3) for value in around],
        "curriculum_better": int((gained > 0).sum()),
    }


def _figures(played: Episodes, run: Path) -> dict[str, Any]:
    result = played.result_uusd / UUSD
    gate = json.loads((run / "gate.json").read_text())
    return {
        "result_usd": round(float(result.mean()), 3),
        "plus_minus": round(1.96 * float(result.std()) / float(np.sqrt(len(result))), 3),
        "cvar95_usd": round(float(expected_shortfall(-result, np.ones(len(result)))), 3),
        "costs": {name: round(float(played.costs[:, k].mean()), 4) for k, name in enumerate(played.cost_names)},
        "failed": [verdict["name"] for verdict in gate["verdicts"] if not verdict["passed"]],
        "training_seconds": _seconds(run),
    }


def _seconds(run: Path) -> float:
    """Of all updates, of a curriculum in all its phases, also where a run was killed and went on."""
    total = 0.0
    for one in sorted(run.parent.glob("?-phase*")) if run.name == LAST else [run]:
        updates = [json.loads(line) for line in (one / "speed.jsonl").read_text().splitlines()]
        steps = np.diff([0, *(update["steps"] for update in updates)])
        total += float(np.sum(steps / [update["steps_per_s"] for update in updates]))
    return round(total, 1)


def draw(path: Path, found: dict[str, Any]) -> None:
    """Result an episode of both arms, seed by seed."""
    with style():
        figure: Figure = blank(3.0)
        axes = figure.subplots()
        for place, (arm, colour) in enumerate(zip(ARMS, (AGENT, BASELINES[1]), strict=True)):
            x = np.array([line["seed"] for line in found["seeds"]]) + 0.12 * (2 * place - 1)
            y = [line[arm]["result_usd"] for line in found["seeds"]]
            error = [line[arm]["plus_minus"] for line in found["seeds"]]
            axes.errorbar(x, y, error, fmt="o", color=colour, label=arm.replace("_", " "))
        axes.set_xticks([line["seed"] for line in found["seeds"]])
        axes.legend()
        label(axes, "Last phase, validation rows, 95 % intervals", "seed", "dollars an episode")
        write_png(figure, path)


def main(arguments: list[str]) -> int:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks curriculum", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=float, default=6e6, help="of a run, all phases together")
    parser.add_argument("--episodes", type=int, default=8192, help="that judge")
    parser.add_argument("--out", type=Path, default=Path("runs/curriculum-proof"), help="default: %(default)s")
    parser.add_argument("--plot", type=Path, help="also draw both arms")
    parser.add_argument("overrides", nargs="*", help="of train.py, for both arms")
    options = parser.parse_args(arguments)
    found = run(options.seeds, options.steps, options.episodes, options.out, options.overrides)
    if options.plot is not None:
        draw(options.plot, found)
    print_result({**found, **describe()})
    return 0
