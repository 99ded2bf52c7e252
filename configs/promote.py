"""``python -m evaluation promote RUN``: promote a trained policy, if it passes every gate. docs/promotion.md.

    python -m evaluation promote checkpoints/<run> --tapes tapes/
    python -m evaluation promote checkpoints/<run> --only latency          # one gate, and nothing is written
    python -m evaluation promote --rollback --reason "fills were not what they seemed"

Exit status 0: promoted, or the gates asked for are passed. 1: refused; the message says by which gate, what was
expected and what came, and the record lies in the run's folder, promotion/.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

from configs.promotion import GATES, Promotion
from evaluation.promotion import registry
from evaluation.promotion.gates import refusal
from evaluation.promotion.tails import Terms

SEED = 3_000_000  # of worlds that no training, evaluation or search has met
EPISODES = 2048  # generated; the tail of a twentieth then has a hundred


def main(arguments: list[str]) -> int:
    """Promote, refuse, ask single gates, or roll back."""
    options = _parser().parse_args(arguments)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00}"
    if options.rollback:
        entry = registry.roll_back(options.registry, date=now, reason=options.reason)
        folder = registry.current(options.registry)
        sys.stdout.write(json.dumps({"what": entry.what, "current": str(folder), "reason": entry.reason}) + "\n")
        return 0
    _check(options)
    torch.set_num_threads(1)
    asked = Promotion(options, vars(_parser().parse_args(["run"])), now)
    gates = []
    for name, ask in asked.gates().items():
        if options.only and name not in options.only:
            continue
        gates.append(ask())
        sys.stdout.write(f"{gates[-1].verdict:8s} {name}: {gates[-1].came}\n")
        sys.stdout.flush()
    if not options.only:
        asked.conclude(gates)
    refused = refusal(gates)
    if refused:
        sys.stderr.write(f"{options.run} is refused\n{refused}\n")
    return 1 if refused else 0


def _check(options: argparse.Namespace) -> None:
    """Words that do not go together."""
    if options.run is None:
        raise ValueError("promote: expected a run's folder, or --rollback")
    if options.against is not None and not options.only:
        raise ValueError(
            f"--against {options.against}: a promotion is against what is current in the registry; with --only GATE "
            "any folder, or none, may be named"
        )
    if options.tapes is not None and options.without_tapes:
        raise ValueError(f"--tapes {options.tapes} and --without-tapes: expected one of them")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation promote", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", nargs="?", help="folder of a finished run of train.py")
    add("--registry", type=Path, default=registry.DEFAULT)
    add("--rollback", action="store_true", help="make the policy before the current one current again")
    add("--reason", default="", help="kept in the list; --rollback wants one")
    add("--only", action="append", default=[], choices=GATES, help="ask this gate alone; nothing is written")
    add("--against", help="with --only: a folder to compare with instead of the current policy, or none")
    add("--episodes", type=int, default=EPISODES, help="generated ones; recorded markets are played once each")
    add("--seed", type=int, default=SEED, help="of the worlds, and of policies that draw")
    add("--fill-model", help="default: the fitted one, where the run's evaluation has it")
    add("--baseline", action="append", help="any number of times; default: the run's; noop is always among them")
    add("--tapes", help="folder of recorded tapes, or resolvedkit, for the gate features")
    add("--without-tapes", action="store_true", help="promote though no tape was played; the card says so")
    add("--failures", default="library", help="table of failures: library, or a file")
    add("--without-table", action="store_true", help="promote though no table was played; the card says so")
    add("--allow-failure", action="append", default=[], help="name of a case that may fail; the card says so")
    add("--mean-margin", type=float, default=Terms.mean_margin, help="share of the other's mean that may be lost")
    add("--drawdown-margin", type=float, default=Terms.drawdown_margin, help="the same of its drawdown, to be added")
    add("--slack-usd", type=float, default=0.0, help="dollars that gains may fall short by: to try the machinery")
    add("--latency-p99-us", type=float, default=10_000.0, help="microseconds that 99 of 100 decisions may take")
    return parser
