"""One run on trial: what it plays, the gates that are asked, the papers about it. `configs.promote` is the command."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from agents.checkpoint import git_state, read_manifest, versions
from configs import build
from configs.judge import baselines_of
from configs.regression import known_failures, replay_failures
from configs.schema import BASELINES, Config, DirectionalConfig, ReplayConfig, read_run_config
from configs.suites import headline
from configs.tapes import split_of, tape_files
from envs.vector import TradingVectorEnv
from evaluation.promotion import registry
from evaluation.promotion.budgets import Budget
from evaluation.promotion.card import card, checklist
from evaluation.promotion.diff import FILE, write_difference
from evaluation.promotion.features import feature_gate, no_tapes
from evaluation.promotion.gates import Gate
from evaluation.promotion.record import make_record
from evaluation.promotion.table import table_gate
from evaluation.promotion.tails import Terms
from evaluation.promotion.trial import Contender, Trial
from sim.files import write_whole
from sim.scenarios import replay
from sim.scenarios.row import default_rows

ROOT = Path(__file__).resolve().parent.parent
GATES = ("features", "tails", "baseline", "budgets", "replay", "latency", "table")
OURS = (
    "actions",
    "features",
    "hidden",
    "sizes",
    "limits",
    "cross_ticks",
    "dt_s",
    "events_per_step",
)  # a policy's ways, not the world's


class Promotion:
    """One run, what it is judged on, and whom it is to replace."""

    def __init__(self, options: argparse.Namespace, usual: Mapping[str, Any], now: str) -> None:
        """``options`` of the command, ``usual`` what they are where nobody says otherwise, ``now`` a date."""
        self.options, self.usual, self.now, self.run = options, usual, now, Path(options.run)
        self.config, self.manifest = read_run_config(self.run), read_manifest(self.run)
        if self.manifest["status"] != "finished":
            raise ValueError(f"{self.run}: expected a finished run, came one that is {self.manifest['status']}")
        self.files = registry.files_of(self.run)
        self.line = registry.entries(options.registry)
        self.against = self._incumbent()
        changes: dict[str, Any] = {"synthetic_episodes": options.episodes, "seed": options.seed}
        self.settings = replace(self.config.evaluation, **changes)
        self.fill_model = options.fill_model or headline(self.settings)
        self.what = unseen(self.config, self.settings)
        self.terms = Terms(options.mean_margin, options.drawdown_margin, options.slack_usd)
        table = None if options.without_table else options.failures
        self.cases = known_failures(table, len(self.what.scenario.places))
        self.trial = self._trial()

    def gates(self) -> dict[str, Callable[[], Gate]]:
        """By name, in the order they are asked: quick ones that need no play first."""
        return {
            "features": self._features, "tails": self.trial.tails, "baseline": self.trial.baseline,
            "budgets": self.trial.keeps_budgets, "replay": self.trial.replay, "latency": self._latency,
            "table": self._table,
        }  # fmt: skip

    def conclude(self, gates: list[Gate]) -> None:
        """Write the record, card and checklist; promote where no gate refuses."""
        record = self._record(gates)
        promoted = record["promoted"]
        where = Path(self.options.registry) / registry.POLICIES / registry.name_of(len(self.line), self.run)
        papers = self._papers(record, where if promoted else self.run)
        if promoted:
            registry.publish(
                self.options.registry, self.run, papers, judged=self.files, seen=len(self.line), date=self.now,
                reason=self.options.reason,
            )  # fmt: skip
            folder = registry.current(self.options.registry) / "promotion"
        else:
            folder = self.run / "promotion" / self.now[:19].replace(":", "")
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in papers.items():
                write_whole(folder / name, content)
        told = {"promoted": promoted, "refused": record["refused"], "record": str(folder / "record.json")}
        sys.stdout.write(json.dumps(told) + "\n")

    # who plays

    def _incumbent(self) -> Path | None:
        if self.options.against is not None:
            return None if self.options.against == "none" else Path(self.options.against)
        return registry.current(self.options.registry) if registry.standing(self.line) else None

    def _trial(self) -> Trial:
        config, env = self.config, self.config.env
        incumbent = None
        if self.against is not None:
            own = read_run_config(self.against).env
            theirs = replace(env, **{name: getattr(own, name) for name in OURS})
            incumbent = Contender(self.against.name, str(self.against), self._world(theirs))
        names = self.options.baseline or config.evaluation.baselines
        names = list(dict.fromkeys(["noop", *(BASELINES if names is None else names)]))
        baselines = tuple(Contender(name, source, self._world(env)) for name, source in baselines_of(names).items())
        budgets = tuple(
            Budget(name, one.limit, one.kind, one.alpha) for name, one in (config.agent.budgets or {}).items()
        )
        return Trial(
            Contender(self.run.name, str(self.run), self._world(env)), incumbent, baselines, self.what.episodes,
            budgets, self.terms, self.settings.seed, self.settings.deterministic,
        )  # fmt: skip

    def _world(self, env: DirectionalConfig) -> Callable[[], TradingVectorEnv]:
        make = build.trial_env(env, self.what, self.settings)
        return lambda: make(fill_model=self.fill_model)

    # gates that need more than the trial

    def _features(self) -> Gate:
        options = self.options
        if options.tapes is None:
            return no_tapes("--without-tapes" if options.without_tapes else "")
        files = tape_files(options.tapes)
        scenario = replay(files, default_rows(), sequential=True)
        env = replace(self.config.env, window_s=float("inf"), start_contracts=0.0, hidden=[])  # all are reckoned

        def make(num_envs: int, first_env: int) -> TradingVectorEnv:
            return build.make_env(
                env, scenario, num_envs=num_envs, first_env=first_env, seed=self.settings.seed,
                autoreset_mode=AutoresetMode.DISABLED,
            )  # fmt: skip

        return feature_gate(make, scenario.tapes, scenario.names, events_per_step=env.events_per_step)

    def _latency(self) -> Gate:
        return self.trial.latency(self.options.latency_p99_us, time.perf_counter_ns)

    def _table(self) -> Gate:
        if self.options.without_table:
            return replace(table_gate(()), waived="--without-table")
        env = build.settled(self.config.env, self.what.wanted)
        return table_gate(replay_failures(str(self.run), env, self.cases), self.options.allow_failure)

    # papers

    @cached_property
    def _judged_on(self) -> dict[str, Any]:
        scenario, wanted = self.what.scenario, self.config.scenario
        return {
            "title": self.what.title,
            "scenario": ", ".join(
                f"{key} {getattr(wanted, key)}"
                for key in ("kind", "name", "table", "tapes")
                if getattr(wanted, key, None)
            ),
            "episodes": self.what.episodes,
            "seed": self.settings.seed,
            "fill_model": self.fill_model,
            "fill_set": wanted.fill_set,
            "rows": scenario.rows.size,
            "rows_digest": hashlib.sha256(scenario.rows.tobytes()).hexdigest(),
            "data": build.data_digests(scenario) if scenario.tapes else {},
            "library": build.library_digests(wanted),
        }

    def _record(self, gates: list[Gate]) -> dict[str, Any]:
        manifest, trained = self.manifest, self.manifest["data"].get("train", {})
        return make_record(
            gates,
            self.trial.difference(),
            self.trial.standings(),
            run={
                "name": self.run.name, "files": self.files, "git": manifest["git"],
                "seed": manifest["seed"], "steps": manifest.get("steps", manifest["total_steps"]),
                "trained_on": f"{len(trained)} recorded markets" if trained else "generated markets",
                "environment": f"actions {self.config.env.actions}, features {', '.join(self.config.env.features)}",
                "digests": {key: manifest["sheet"][f"{key}_digest"] for key in ("observation", "action")},
            },
            incumbent=None if self.against is None else self.against.name,
            judged_on=self._judged_on,
            terms=self.terms,
            made={"date": self.now, "git": git_state(ROOT), "versions": versions()},
        )  # fmt: skip

    def _papers(self, record: dict[str, Any], folder: Path) -> dict[str, bytes]:
        papers = {
            "record.json": (json.dumps(record, indent=2, allow_nan=False) + "\n").encode(),
            "card.md": card(record).encode(),
            "checklist.md": checklist(record, self._commands(record, folder)).encode(),
        }
        if "share" in record["difference"]:
            with tempfile.TemporaryDirectory() as drawn:
                write_difference(Path(drawn), record["difference"], self.run.name, record["incumbent"])
                papers[FILE] = (Path(drawn) / FILE).read_bytes()
        return papers

    def _commands(self, record: dict[str, Any], folder: Path) -> dict[str, str]:
        """What asks each gate again, of the copy, against the same incumbent."""
        words = ["python", "-m", "evaluation", "promote", str(folder), "--against", str(self.against or "none")]
        for name, value in vars(self.options).items():
            if name in _NOT_REPEATED or value == self.usual[name]:
                continue
            flag = f"--{name.replace('_', '-')}"
            for one in value if isinstance(value, list) else [value]:
                words += [flag] if one is True else [flag, str(one)]
        commands = {gate["name"]: shlex.join([*words, "--only", gate["name"]]) for gate in record["gates"]}
        where = ["python", "-m", "evaluation", "promoted", "--registry", str(self.options.registry)]
        commands["The copy is whole: `whole` is true of every entry"] = shlex.join(where)
        judged = ["python", "evaluate.py", f"checkpoint={folder}", f"evaluation.seed={self.settings.seed}"]
        commands["The report, read by somebody who did not train it"] = shlex.join(judged)
        return commands


_NOT_REPEATED = ("run", "rollback", "reason", "only", "against", "registry")


def unseen(config: Config, settings: Any) -> build.Trial:
    """What a run is judged on. Raises ValueError where training has seen it."""
    if isinstance(config.scenario, ReplayConfig) and not split_of(config.scenario).held_out:
        raise ValueError(
            f"scenario.held_out = {config.scenario.held_out}: the run was trained on every recorded market, and "
            "nothing is left to judge it on; train with some held out"
        )
    return build.trial(config.scenario, settings, config.seed)
