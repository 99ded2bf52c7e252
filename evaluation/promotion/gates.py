"""What a gate of promotion says: passed, failed or not run, with what was expected and what came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Gate:
    """One verdict. ``passed`` None = not run, which refuses as a failure does unless ``waived`` says who let it be."""

    name: str
    passed: bool | None
    expected: str
    came: str
    figures: dict[str, Any] = field(default_factory=dict)  # plain JSON values
    waived: str = ""  # the option that goes on without this gate; only of one that was not run

    def __post_init__(self) -> None:
        if self.waived and self.passed is not None:
            raise ValueError(f"gate {self.name}: passed = {self.passed} and waived: only what was not run can be")

    @property
    def refuses(self) -> bool:
        """Whether promotion stops here."""
        return not self.passed and not self.waived

    @property
    def verdict(self) -> str:
        """In one word or two."""
        if self.passed is None:
            return "waived" if self.waived else "not run"
        return "passed" if self.passed else "failed"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "verdict": self.verdict}


def refusal(gates: Iterable[Gate]) -> str:
    """Why these gates refuse, a line each; "" where they let pass."""
    return "\n".join(
        f"gate {gate.name} {gate.verdict}: expected {gate.expected}; came {gate.came}" for gate in gates if gate.refuses
    )
