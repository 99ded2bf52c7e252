"""``python -m evaluation monitor``: whether a policy still does on new recordings what it did on older ones.

    python -m evaluation monitor checkpoints/<run> --reference tapes/june --tapes tapes/july --out drift.json

The run plays both folders of tapes, each market once. The exit status is 3 where the mean result fell by more than a
fifth or the accuracy of entries on patterns by more than 15 points; the command of the refresh is printed. See
docs/curriculum.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agents.policy import load
from configs.build import recorded_trial, trial_env
from configs.schema import Config, read_run_config
from evaluation.drift import Seen, as_report, drift, lines
from evaluation.files import write_json
from evaluation.patterns import PATTERNS, Watcher, observed_patterns
from evaluation.rollout import rollout

REFRESH = 3  # exit status


def main(arguments: list[str]) -> int:
    """Play both folders, print what changed; `REFRESH` where a trigger was tripped, else 0."""
    options = _parser().parse_args(arguments)
    config = read_run_config(options.run)
    then, patterns = _seen(config, options.run, options.reference, options.fill_model)
    now, _ = _seen(config, options.run, options.tapes, options.fill_model)
    report = as_report(drift(then, now, patterns, seed=config.evaluation.seed))
    report |= {"run": str(options.run), "reference": str(options.reference), "tapes": str(options.tapes)}
    sys.stdout.write("\n".join(lines(report)) + "\n")
    if options.out is not None:
        write_json(options.out, report)
    if not report["refresh"]:
        return 0
    own = hasattr(config.scenario, "tapes")
    tapes = f"{'' if own else 'scenario=replay '}scenario.tapes={options.tapes}"
    sys.stdout.write(f"refresh: python train.py +curriculum=refresh from={options.run} {tapes}\n")
    return REFRESH


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation monitor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run, or of a promoted policy")
    parser.add_argument(
        "--reference", required=True, help="tapes of the time that the policy is known to have earned in"
    )
    parser.add_argument("--tapes", required=True, help="tapes of now")
    parser.add_argument("--fill-model", default="probabilistic", help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="also write the report as JSON")
    return parser


def _seen(config: Config, run: Path, tapes: str, fill_model: str) -> tuple[Seen, list[str]]:
    what = recorded_trial(tapes, config.scenario, config.evaluation)
    env = trial_env(config.env, what, config.evaluation)(fill_model)
    sheet = env.spec_sheet
    policy = load(str(run), sheet, deterministic=config.evaluation.deterministic, seed=config.evaluation.seed)
    patterns = observed_patterns(sheet["observation"], sheet["markets"])
    if not patterns:
        raise ValueError(f"{run}: it observes nothing that a pattern is read off; patterns are {', '.join(PATTERNS)}")
    watcher = Watcher(policy, patterns, sheet["observation"], sheet["markets"])
    episodes = rollout(env, watcher, what.episodes, label=f"playing {tapes}")
    env.close()
    return Seen(episodes, watcher.shown(episodes), watcher.looks(episodes)), patterns
