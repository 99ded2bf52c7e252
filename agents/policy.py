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

from agents.checkpoint import load_parameters, read_manifest
from agents.fixed import FIXED as FIXED
from agents.fixed import FixedPolicy
from agents.network import MASKED, find_activation, normalise
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
_BLOCK = 64  # rows: batches are padded to a multiple, so that a row's result does not depend on the batch it came in


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


def load(spec: str | Path, sheet: Mapping[str, Any], *, deterministic: bool = True, seed: int = 0) -> Policy:
    """The policy that ``spec`` names, checked against the spec sheet of the environment it is to act in.

    Args:
        spec: a run folder; or ``baseline:NAME``, ``baseline:NAME?key=value&key=value``, ``baseline:NAME@FILE.json``
            with the parameters as a JSON object. ``baseline:fixed?spread=1&skew=3`` is a point of a control surface, in
            its coordinates' units, the others at their defaults.
        sheet: the environment's ``spec_sheet``, of which ``observation`` and ``actions`` with their digests are read.
        deterministic: a trained policy takes its most likely action; False = it samples.
        seed: of sampling and of the random baseline; with the number of calls so far and the row it decides each draw.

    Raises FileNotFoundError or ValueError that name what was found and what was expected.
    """
    text = str(spec)
    if text.startswith(BASELINE):
        name, values = parse_baseline(text.removeprefix(BASELINE))
        return FixedPolicy(values, sheet) if name == FIXED else BaselinePolicy(name, values, sheet, seed)
    manifest = read_manifest(text)
    check_sheet(text, manifest["sheet"], sheet)
    return TrainedPolicy(manifest, load_parameters(text), sheet["observation"], deterministic, seed)


def check_sheet(run: str, made_for: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError where a run's observation or action table is not the environment's, naming what differs."""
    for what, entries in (("observation", "features"), ("action", "rows")):
        ours, theirs = made_for[f"{what}_digest"], wanted[f"{what}_digest"]
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

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Rows of the action table, ``(N,)`` int64, or ``(N, M)``; ``masks`` are not looked at."""
        count = len(observations)
        if self.markets > 1 and observations.size == count * self.markets * len(self.features):
            observations = observations.reshape(-1, len(self.features))
        _check_observations(self.name, observations, self.features)
        views = view_from_observation(self.features, observations)
        uniforms = _uniforms(self.seed, self.calls, (len(views), UNIFORMS))
        self.calls += 1
        rows = nearest_actions(self.table, decide(self.name, views, self.params, uniforms))
        return rows if self.markets == 1 else rows.reshape(count, self.markets)


class TrainedPolicy:
    """The actor of a run: normaliser, hidden layers, one logit per row of the action table, and market.

    On a control surface they give a mean per coordinate, and market: the action is the mean, or a draw with the run's
    ``log_std``, clipped to [-1, 1] as in training. A run that was trained with masks (``network.masks`` of its
    manifest) never chooses a row that ``masks`` rule out.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        parameters: Mapping[str, torch.Tensor],
        features: Sequence[str],
        deterministic: bool = True,
        seed: int = 0,
    ) -> None:
        self.name = manifest["run"]
        self.features = list(features)
        self.deterministic = deterministic
        self.seed = seed
        self.calls = 0
        self.surface = manifest["sheet"].get("action_form") == "surface"
        self.masked = bool(manifest["network"].get("masks", True)) and not self.surface
        self.markets = manifest["sheet"].get("markets", 1)
        self._log_std = parameters.get("log_std")
        self._activation = find_activation(manifest["network"]["activation"])()
        self._layers = _actor_layers(parameters)
        self._mean = parameters.get("features_extractor.mean")
        self._scale = parameters.get("features_extractor.scale")
        expected = (len(self.features), self.markets * len(manifest["sheet"]["actions"]))
        found = (self._layers[0][0].shape[0], self._layers[-1][0].shape[1])
        if found != expected:
            raise ValueError(f"{self.name}: a network of {found} features and actions, its manifest says {expected}")

    @torch.no_grad()
    def logits(self, observations: np.ndarray) -> np.ndarray:
        """Logits of the action table's rows, ``(N, A)`` float32, or ``(N, M x A)``; means on a control surface.

        Raises FloatingPointError where one is not finite.
        """
        _check_observations(self.name, observations, self.features)
        count = len(observations)
        padded = np.zeros((-(-count // _BLOCK) * _BLOCK, len(self.features)), np.float32)
        padded[:count] = observations
        x = torch.from_numpy(padded)
        if self._mean is not None and self._scale is not None:
            x = normalise(x, self._mean, self._scale)
        for weight, bias in self._layers[:-1]:
            x = self._activation(torch.addmm(bias, x, weight))
        weight, bias = self._layers[-1]
        result = torch.addmm(bias, x, weight)[:count].numpy()
        if not np.isfinite(result.sum()):
            self._refuse(result)
        return result

    def act(self, observations: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Rows of the action table, ``(N,)`` int64, or ``(N, M)``; none that ``masks`` bool ``(N, [M], A)`` rule out.

        Without masks, or where every row is ruled out, it may choose any row. Raises ValueError for masks of another
        shape.
        """
        logits = self.logits(observations)
        if self.surface:
            return self._point(logits)
        if self.markets > 1:
            logits = logits.reshape(len(logits), self.markets, -1)
        if masks is not None and self.masked:
            if masks.shape != logits.shape:
                raise ValueError(f"policy {self.name}: expected masks {logits.shape}, got {masks.shape}")
            logits = np.where(masks, logits, np.float32(MASKED))
        if not self.deterministic:
            # argmax of logit + Gumbel noise is a sample of the softmax
            logits = logits - np.log(-np.log(_uniforms(self.seed, self.calls, logits.shape)))
        self.calls += 1
        return logits.argmax(-1)

    def _point(self, means: np.ndarray) -> np.ndarray:
        """The mean action, or a draw around it, float32 in [-1, 1]."""
        if not self.deterministic:
            if self._log_std is None:
                raise ValueError(f"policy {self.name}: its checkpoint has no log_std to sample with")
            generator = np.random.Generator(np.random.Philox(key=[self.seed, self.calls]))
            means = means + np.exp(self._log_std.numpy()) * generator.standard_normal(means.shape)
        self.calls += 1
        return np.clip(means, -1.0, 1.0).astype(np.float32)

    def _refuse(self, logits: np.ndarray) -> None:
        row = int(np.argmin(np.isfinite(logits).all(1)))
        raise FloatingPointError(
            f"policy {self.name}: the logits of row {row} are not finite ({logits[row].tolist()}) though its "
            f"observation is; the checkpoint is broken"
        )


def _of_one_market(features: Sequence[str], markets: int) -> list[str]:
    """Names of one market's features, of an observation with an axis of markets, or with them side by side."""
    own = list(features[: len(features) // markets])
    if markets == 1 or not own[0].startswith("market_0."):
        return list(features)
    return [name.removeprefix("market_0.") for name in own]


def _actor_layers(parameters: Mapping[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(weight ``(in, out)``, bias ``(out,)``) of the actor's layers, from SB3's names."""
    hidden = [key for key in parameters if key.startswith("mlp_extractor.policy_net.") and key.endswith(".weight")]
    hidden.sort(key=lambda key: int(key.split(".")[2]))
    names = [key.removesuffix(".weight") for key in (*hidden, "action_net.weight")]
    return [(parameters[f"{name}.weight"].t().contiguous(), parameters[f"{name}.bias"]) for name in names]


def _check_observations(name: str, observations: np.ndarray, features: Sequence[str]) -> None:
    """Raise where observations have another shape than ``(N, F)``, or hold a number that is not finite."""
    if observations.ndim != 2 or observations.shape[1] != len(features):
        raise ValueError(f"policy {name}: expected observations (N, {len(features)}), got {observations.shape}")
    finite = np.isfinite(observations)
    if not finite.all():
        row = int(np.argmin(finite.all(1)))
        bad = ", ".join(f"{features[i]} = {observations[row, i]}" for i in np.flatnonzero(~finite[row]).tolist())
        raise FloatingPointError(f"policy {name}: the observation of row {row} is not finite: {bad}")


def _uniforms(seed: int, call: int, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 in (0, 1) that depend on seed, call and position: a larger batch continues a smaller one's draws."""
    generator = np.random.Generator(np.random.Philox(key=[seed, call]))
    return np.maximum(generator.random(shape), 2.0**-53)
