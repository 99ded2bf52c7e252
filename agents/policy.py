"""What inference needs: ``load("checkpoints/<run>" | "baseline:<name>", sheet).act(observations) -> actions``.

A trained policy is its actor network and nothing else; a baseline is one of ``sim.strategies`` with the same face. Both
are tied to a spec sheet: the names and digests of the observation and of the action table they were made for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from agents.checkpoint import digest_of_parameters, load_parameters, read_manifest
from agents.exported import FILE as EXPORTED
from agents.exported import FOLDER as EXPORT
from agents.exported import Exported, exported_path
from agents.fixed import FIXED as FIXED
from agents.fixed import FixedPolicy
from agents.randomness import uniforms
from agents.trained import TrainedPolicy, check_observations
from sim.strategies import (
    STRATEGIES,
    UNIFORMS,
    decide,
    find_strategy,
    nearest_actions,
    strategy_params,
    table_from_rows,
    view_from_observation,
)

BASELINE = "baseline:"
ONNX = "onnx"


class Policy(Protocol):
    """Something that acts on a batch of observations."""

    name: str
    masked: bool  # it can be told which rows cannot be done, and chooses among the others

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Rows of the action table, ``(N,)`` int64, for observations ``(N, F)`` float32.

        With M markets ``(N, M)``, for ``(N, M x F)``. On a control surface points of it, ``(N, M x D)`` float32, unless
        a true attribute ``chooses_rows`` says otherwise. ``masks`` bool ``(N, [M], A)``: rows that can be done; where
        ``masked`` is False nobody need give them.
        """
        ...


def choose(policy: Policy, observations: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """What ``policy`` does, told the ``masks`` if it can be told: the one place where inference masks."""
    return policy.act(observations, masks) if getattr(policy, "masked", False) else policy.act(observations)


def load(
    spec: str | Path, sheet: Mapping[str, Any], *, deterministic: bool = True, seed: int = 0, backend: str = "torch"
) -> Policy:
    """The policy that ``spec`` names, checked against the spec sheet of the environment it is to act in.

    Args:
        spec: a run folder; an exported policy, its file or its folder (docs/export.md); or ``baseline:NAME``,
            ``baseline:NAME?key=value&key=value``, ``baseline:NAME@FILE.json`` with the parameters as a JSON object.
            ``baseline:fixed?spread=1&skew=3`` is a point of a control surface, in its coordinates' units, the others
            at their defaults.
        sheet: the environment's ``spec_sheet``, of which ``observation`` and ``actions`` with their digests are read.
        deterministic: a trained policy takes its most likely action; False = it samples.
        seed: of sampling and of the random baseline; with the number of calls so far and the row it decides each draw.

        backend: of a run, what reckons its network: "torch", "compiled" (the same by torch.compile), "numpy" for few
            rows at a time, or "onnx" for what was exported of it. Of an exported policy it is "onnx" in any case.

    Raises FileNotFoundError or ValueError that name what was found and what was expected.
    """
    text = str(spec)
    if text.startswith(BASELINE):
        name, values = parse_baseline(text.removeprefix(BASELINE))
        return FixedPolicy(values, sheet) if name == FIXED else BaselinePolicy(name, values, sheet, seed)
    path = exported_path(text)
    if path is not None:
        return _load_exported(Exported(path), text, sheet, deterministic, seed)
    if backend == ONNX:
        exported = Exported(Path(text) / EXPORT / EXPORTED)
        refuse_another_state(text, exported.note, load_parameters(text))
        return _load_exported(exported, text, sheet, deterministic, seed)
    return CarriedPolicy(text)(sheet, deterministic=deterministic, seed=seed, backend=backend)


class CarriedPolicy:
    """What `load` reads of a run's folder, read once: for other processes, which need not see that folder.

    Picklable, and a function of the spec sheet that gives a fresh policy. As text it is the folder.
    """

    def __init__(self, run: str | Path) -> None:
        self.run = str(run)
        self.manifest = read_manifest(self.run)
        self.parameters = {name: tensor.numpy() for name, tensor in load_parameters(self.run).items()}

    def __str__(self) -> str:
        return self.run

    def __call__(
        self, sheet: Mapping[str, Any], *, deterministic: bool = True, seed: int = 0, backend: str = "torch"
    ) -> TrainedPolicy:
        """The policy, checked against ``sheet``; arguments as of `load`."""
        shared = bool(self.manifest["network"]["shared"])
        check_sheet(self.run, self.manifest["sheet"], sheet, each=shared)
        markets = sheet["markets"] if shared else None
        parameters = {name: torch.tensor(array) for name, array in self.parameters.items()}
        return TrainedPolicy(self.manifest, parameters, sheet["observation"], deterministic, seed, markets, backend)


def carried(source: str | Path) -> str | Path | CarriedPolicy:
    """``source`` of a policy for another process: of a run all that it takes, of others what `load` is to take there.

    A baseline's file of parameters and an exported policy are read where it acts.
    """
    text = str(source)
    return source if text.startswith(BASELINE) or exported_path(text) is not None else CarriedPolicy(text)


def _load_exported(
    exported: Exported, text: str, sheet: Mapping[str, Any], deterministic: bool, seed: int
) -> TrainedPolicy:
    note = exported.note
    check_sheet(text, note["sheet"], sheet)
    return TrainedPolicy(note, {}, sheet["observation"], deterministic, seed, exported=exported)


def refuse_another_state(run: str, note: Mapping[str, Any], parameters: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError where a run has gone on since it was exported."""
    if note["policy_digest"] != digest_of_parameters(parameters):
        raise ValueError(
            f"{run}: {EXPORT}/{EXPORTED} is of another state of the run; export it again: python -m evaluation export "
            f"{run}"
        )


def check_sheet(run: str, made_for: Mapping[str, Any], wanted: Mapping[str, Any], *, each: bool = False) -> None:
    """Raise ValueError where a run's observation or action table is not the environment's, naming what differs.

    ``each``: only those of one market are compared, since the run's network looks at any number of them.
    """
    for what, entries in (("observation", "features"), ("action", "rows")):
        key = f"{what}_digest_each" if each else f"{what}_digest"
        ours, theirs = made_for[key], wanted[key]
        if ours != theirs:
            key = "observation" if what == "observation" else "actions"
            raise ValueError(
                f"{run}: trained on {what} schema {ours}, the environment has {theirs}; "
                f"{_difference(made_for[key], wanted[key], entries)}. Use the environment config of the run, or retrain"
            )


def _difference(ours: Sequence, theirs: Sequence, entries: str) -> str:
    ours, theirs = [_label(entry) for entry in ours], [_label(entry) for entry in theirs]
    missing = [entry for entry in ours if entry not in theirs]
    extra = [entry for entry in theirs if entry not in ours]
    if not missing and not extra:
        place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), None)
        if place is None:
            return f"the {entries} have the same names, but their definition or version differs"
        return f"the {entries} are the same in another order, from number {place}: {ours[place]} became {theirs[place]}"
    return (
        f"{entries} only in the run: {', '.join(missing) or 'none'}; "
        f"only in the environment: {', '.join(extra) or 'none'}"
    )


def _label(entry: object) -> str:
    return entry if isinstance(entry, str) else " ".join(map(str, entry))  # type: ignore[call-overload]


def parse_baseline(text: str) -> tuple[str, dict[str, float]]:
    """``NAME``, ``NAME?a=1&b=2`` or ``NAME@FILE.json`` to a name and parameters."""
    if "@" in text:
        name, file = text.split("@", 1)
        try:
            values = json.loads(Path(file).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{BASELINE}{text}: {file} is not JSON ({error})") from None
        if not isinstance(values, dict):
            raise ValueError(
                f"{BASELINE}{text}: {file} holds a {type(values).__name__}, expected an object of parameters"
            )
    else:
        name, _, query = text.partition("?")
        values = {key: value for key, _, value in (part.partition("=") for part in query.split("&") if part)}
    numbers = {}
    for key, value in values.items():
        try:
            numbers[key] = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{BASELINE}{text}: parameter {key} = {value!r} is not a number") from None
    return name, numbers


class BaselinePolicy:
    """A strategy of ``sim.strategies``, acting through the nearest rows of the environment's action table.

    Of several markets it plays each as if it were alone. What it wants and cannot be done is a refused order, as it
    would be at a venue: it does not look for another row.
    """

    masked = False

    def __init__(self, name: str, values: Mapping[str, float], sheet: Mapping[str, Any], seed: int = 0) -> None:
        if name not in STRATEGIES:
            raise ValueError(f"no baseline {name!r}; the baselines are {', '.join(STRATEGIES)}")
        self.name = name
        self.strategy = find_strategy(name)
        self.params = strategy_params(name, values)
        self.markets = sheet.get("markets", 1)
        self.features = _of_one_market(sheet["observation"], self.markets)
        # beside a control surface baselines act through a table of their own: the environment's `step_rows`
        self.chooses_rows = True
        self.table = table_from_rows(sheet.get("rows", sheet["actions"]))
        self.seed = seed
        self.calls = 0
        self.numbers: np.ndarray | None = None  # (N,) by which rows draw, equal ones alike; None = 0, 1, 2, ...

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Rows of the action table, ``(N,)`` int64, or ``(N, M)``; ``masks`` are not looked at."""
        count = len(observations)
        if self.markets > 1 and observations.size == count * self.markets * len(self.features):
            observations = observations.reshape(-1, len(self.features))
        check_observations(self.name, observations, self.features)
        views = view_from_observation(self.features, observations)
        drawn = self._drawn(count).reshape(len(views), UNIFORMS)
        self.calls += 1
        rows = nearest_actions(self.table, decide(self.name, views, self.params, drawn))
        return rows if self.markets == 1 else rows.reshape(count, self.markets)

    def _drawn(self, count: int) -> np.ndarray:
        """``(N, M x UNIFORMS)`` for the rows of this call."""
        width = self.markets * UNIFORMS
        if self.numbers is None:
            return uniforms(self.seed, self.calls, (count, width))
        return uniforms(self.seed, self.calls, (int(self.numbers.max()) + 1, width))[self.numbers]


def _of_one_market(features: Sequence[str], markets: int) -> list[str]:
    """Names of one market's features, of an observation with an axis of markets, or with them side by side."""
    own = list(features[: len(features) // markets])
    if markets == 1 or not own[0].startswith("market_0."):
        return list(features)
    return [name.removeprefix("market_0.") for name in own]
