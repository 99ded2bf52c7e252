"""Does what was learnt on one kind of market carry over to another? Train on fitted crypto rows, judge elsewhere.

A constrained quoter is trained on rows fitted to Kalshi's crypto markets and judged, beside baselines that are not
tuned, on unseen rows of that table, on rows fitted to Kalshi's sports markets, and on recorded markets that training
never had. Every run and judgement is a command of its own (``train.py``, ``evaluate.py``) in ``--out``; what is there
stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, print_result

ROOT = Path(__file__).resolve().parents[1]
TRAINED = ("agent=constrained_quoter", "env=market_making", "scenario=table", "scenario.table=kalshi_crypto")
BASELINES = "evaluation.baselines=[noop,fixed,quoter,joiner]"
KEPT = ("result_usd", "cvar95_usd", "drawdown_usd")


def places(tapes: str) -> dict[str, tuple[str, ...]]:
    """Where the policy is judged, as overrides of evaluate.py."""
    return {
        "same": (),
        "sports": ("scenario=table", "scenario.table=kalshi_sports"),
        "recorded": (f"tapes={tapes}",),
    }


def call(script: str, *overrides: str) -> None:
    """Run an entry point; its error is this program's."""
    subprocess.run([sys.executable, str(ROOT / script), *overrides], check=True, stdout=subprocess.DEVNULL)


def judged(run: Path, name: str, where: tuple[str, ...], episodes: int) -> dict[str, Any]:
    """Figures of the agent and the baselines under every fill model, and the agent's paired advantage."""
    folder = run / name
    if not (folder / "scorecard.json").exists():
        call(
            "evaluate.py", f"checkpoint={run}", *where, BASELINES, f"evaluation.synthetic_episodes={episodes}",
            "evaluation.failures=null", f"out={folder}",
        )  # fmt: skip
    card = json.loads((folder / "scorecard.json").read_text())
    results = {
        model: {policy: {key: found["metrics"][key] for key in KEPT} for policy, found in policies.items()}
        for model, policies in card["results"].items()
    }
    return {"episodes": card["episodes"], "results": results, "advantage": card["advantage"]}


def main(arguments: list[str]) -> int:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks transfer", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=float, default=2e6)
    parser.add_argument(
        "--episodes", type=int, default=2048, help="on generated markets; recorded ones are played once"
    )
    parser.add_argument("--tapes", default="resolvedkit", help="recorded markets; default: that package's 18")
    parser.add_argument("--out", type=Path, default=Path("runs/transfer-proof"), help="default: %(default)s")
    parser.add_argument("overrides", nargs="*", help="of train.py")
    options = parser.parse_args(arguments)
    lines = []
    for seed in range(options.seeds):
        run = options.out / f"seed-{seed}"
        if not (run / "evaluation" / "report.html").exists():
            fresh = [*TRAINED, BASELINES, "evaluation.failures=null", f"seed={seed}", f"total_steps={options.steps}"]
            fresh += [f"checkpoints={options.out}", f"run_name={run.name}", *options.overrides]
            call("train.py", *([f"resume={run}"] if run.exists() else fresh))
        found = {name: judged(run, name, where, options.episodes) for name, where in places(options.tapes).items()}
        lines.append({"seed": seed, **found})
        print(json.dumps(lines[-1]), file=sys.stderr)
    print_result({"benchmark": "transfer", "steps": int(options.steps), "seeds": lines, **describe()})
    return 0
