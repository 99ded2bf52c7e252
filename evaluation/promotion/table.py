"""The table of failures as a gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from evaluation.promotion.gates import Gate
from evaluation.regression import failed

_EXPECTED = "every case of the table of failures passed"


def table_gate(regression: Sequence[Mapping[str, Any]], allowed: Collection[str] = ()) -> Gate:
    """Every case is passed, or allowed to fail by its name; see `evaluation.regression.replay_cases`.

    Raises ValueError for an allowed name that no case has.
    """
    unknown = sorted(set(allowed) - {entry["name"] for entry in regression})
    if unknown:
        raise ValueError(f"promotion: no case {', '.join(unknown)} in the table of failures to allow")
    if not regression:
        return Gate("table", None, _EXPECTED, "not run: no cases")
    bad = [name for name in failed(regression) if name not in allowed]
    texts = {entry["name"]: f"{entry['name']}: {entry['text']}, at most {entry['threshold']:g}" for entry in regression}
    played = sum(entry["passed"] is not None for entry in regression)
    let_be = len(set(failed(regression)) & set(allowed))
    fine = f"{played} cases played, {len(regression) - played} not, {let_be} allowed to fail"
    return Gate(
        "table", not bad, _EXPECTED, "; ".join(texts[name] for name in bad) or fine,
        {"cases": [dict(entry) for entry in regression], "allowed": sorted(allowed)},
    )  # fmt: skip
