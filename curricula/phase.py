"""A curriculum: phases, each a distribution over scenario rows, what may be seen and done in it, and its gate."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any

from sim.scenarios.row import FIELDS

# One attribute a field of a scenario row: a number, [low, high] to draw from, or None for the row's default. A class,
# so that a typed config knows the names and refuses a misspelt one.
RowRanges: Any = make_dataclass("RowRanges", [(name, Any, field(default=None)) for name in FIELDS])
RowRanges.__module__ = __name__  # so that processes can send it to each other


@dataclass
class Gate:
    """What must be measured on a phase's validation rows before the next one begins; None = not asked for."""

    patterns: list[str] = field(default_factory=list)  # of evaluation.patterns, whose entries `success` counts
    success: float | None = None  # share of entries on a pattern that gain, more than this and than random's
    sharpe: float | None = None  # yearly, of daily sums: more than this
    drawdown: float | None = None  # largest fall in 99 of 100 episodes, share of the cash: less than this
    generalisation: float | None = None  # rank correlation of validation with training results over buckets of rows
    episodes: int = 1024  # of each that is played


@dataclass
class Phase:
    """A named lesson; what it leaves out is as the scenario, the environment and the agent have it."""

    name: str
    meaning: str
    rows: RowRanges = field(default_factory=RowRanges)
    entries: dict[str, float] = field(default_factory=dict)  # shares of the rows that are drawn from library entries
    unseen: list[str] = field(default_factory=list)  # entries that only its gate plays, a tenth of the rows each
    features: list[str] | None = None  # groups that are shown, of those the environment has; None = as it has them
    sizes: list[float] | None = None  # contracts of the orders that are offered; None = all
    reward: dict[str, float] | None = None  # weights of terms
    prices: bool = True  # False: budgets are charged and learnt, but cost nothing yet
    sampler: str = "uniform"  # which of its rows are played: one of curricula.samplers.SAMPLERS
    share: float = 1.0  # of the curriculum's steps, beside the other phases' shares
    gate: Gate = field(default_factory=Gate)


@dataclass
class Curriculum:
    """Phases in their order, each trained from the policy of the one before."""

    name: str
    meaning: str
    phases: dict[str, Phase] = field(default_factory=dict)
    attempts: int = 1  # rounds that a phase is trained until its gate is passed; after that the curriculum stays there
    goes_on: bool = False  # it takes environment, scenario and networks from the run that it begins with
    enforce: bool = True  # False: gates are measured and reported, and the next phase begins whatever they say


def ranges_of(rows: RowRanges) -> dict[str, float | tuple[float, float]]:
    """The fields that are set, as `draw_rows` takes them.

    Raises ValueError naming the field for anything but a number or a list of two, low before high.
    """
    ranges: dict[str, float | tuple[float, float]] = {}
    for entry in fields(rows):
        value = getattr(rows, entry.name)
        if value is None:
            continue
        if _is_number(value):
            ranges[entry.name] = float(value)
        elif _is_range(value):
            ranges[entry.name] = (float(value[0]), float(value[1]))
        else:
            raise ValueError(f"rows.{entry.name} = {value!r}: expected a number, or [low, high] with low <= high")
    return ranges


def _is_range(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
