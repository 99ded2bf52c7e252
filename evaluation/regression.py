"""The table of failures, played again: does a policy still fail where some policy once did?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.adversary import Player, find_score, score_interval
from evaluation.tables import Cell, Grid, Row

if TYPE_CHECKING:
    from curricula.adversary.failures import Case


def replay_cases(
    cases: Sequence[Case], player: Callable[[Case], Player], env: Mapping[str, float | str]
) -> list[dict[str, Any]]:
    """Every case played once more, as plain JSON values.

    ``player(case)`` plays the judged policy as the case asks: at its venue, with its fill model. Keys: name, found_on
    (the policy it was found on), score, threshold, value, low, high (bootstrap of the episodes), text, passed. A case
    is passed where the score on its own episodes is not above the threshold: the same episodes each time, so that a
    result changes only with the policy or the simulator. A score that the environment does not keep (a cost it lacks)
    is not played: ``passed`` and ``value`` are null, and ``text`` says why.

    ``env``: facts of the judged environment, as a case has those of the one it was found in. ``differs`` says what is
    not as it was found: settings of the environment, and the row where a default has changed that it rests on.
    """
    return [_replay(case, player) | {"differs": _differs(case, env)} for case in cases]


def _differs(case: Case, env: Mapping[str, float | str]) -> list[str]:
    names = [name for name in {**case.env, **env} if case.env.get(name) != env.get(name)]
    found = [f"{name} = {env.get(name)}, found with {case.env.get(name)}" for name in names]
    return ["its row: a default is another one than when it was found", *found] if case.changed else found


def _replay(case: Case, player: Callable[[Case], Player]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": case.name, "found_on": case.policy, "score": case.score, "threshold": case.threshold,
        "value": None, "low": None, "high": None, "passed": None,
    }  # fmt: skip
    outcomes = player(case)(case.row(), case.episodes, case.seed)
    try:
        interval = score_interval(outcomes, case.score)
    except ValueError as error:  # the judged environment has no such cost
        return {**entry, "text": f"not played: {error}"}
    ends = {key: None if np.isnan(value) else float(value) for key, value in interval._asdict().items()}
    return {
        **entry, **ends, "passed": bool(interval.value <= case.threshold),
        "text": find_score(case.score).text.format(interval.value),
    }  # fmt: skip


def failed(regression: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the cases that were played and not passed."""
    return [entry["name"] for entry in regression if entry["passed"] is False]


def regression_table(regression: Sequence[Mapping[str, Any]], agent: str) -> Grid:
    """A row a case: what came of it, the threshold, passed or not."""
    rows = []
    for entry in regression:
        kind = {True: "gain", False: "loss", None: ""}[entry["passed"]]
        verdict = {True: "passed", False: "failed", None: "not played"}[entry["passed"]]
        ends = "" if entry["low"] is None else f"[{entry['low']:.3g}, {entry['high']:.3g}]"
        text = "; ".join([entry["text"], *entry["differs"]])
        cells = [Cell(text, ends), Cell(f"{entry['threshold']:g}"), Cell(verdict, "", kind)]
        rows.append(Row(entry["name"], cells))
    return Grid(["Case", agent, "at most", "result"], rows)
