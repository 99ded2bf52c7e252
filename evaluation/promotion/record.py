"""The record of a promotion: everything that was asked, and what came, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.promotion.gates import Gate
from evaluation.promotion.tails import Terms
from evaluation.source import ROOT, source_digest

SCHEMA = 1


def make_record(
    gates: Sequence[Gate],
    difference: Mapping[str, Any],
    standings: Mapping[str, Any],
    *,
    run: Mapping[str, Any],
    incumbent: str | None,
    judged_on: Mapping[str, Any],
    terms: Terms,
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything about one promotion, or one that was refused.

    ``run``: name, hashes of its files, and what its manifest says; ``judged_on``: title, episodes, seed, fill model,
    data; ``made``: date, git, versions. Keys: schema, promoted, refused (names of the gates that refuse), run,
    incumbent, judged_on, terms, gates, standings (gains over each other policy), difference, source, made.
    """
    refused = [gate.name for gate in gates if gate.refuses]
    return {
        "schema": SCHEMA,
        "promoted": not refused,
        "refused": refused,
        "run": dict(run),
        "incumbent": incumbent,
        "judged_on": dict(judged_on),
        "terms": {key: getattr(terms, key) for key in terms.__dataclass_fields__},
        "gates": [gate.plain() for gate in gates],
        "standings": dict(standings),
        "difference": dict(difference),
        "source": source_digest(ROOT),
        "made": dict(made),
    }
