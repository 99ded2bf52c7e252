"""Do observations of recorded tapes agree, however they are made?

Each tape is played without an order, in three ways: all tapes in one batch of environments; each alone, in a batch of
one, as live decisions are taken; and by `evaluation.promotion.slow_features`, row by row in plain Python. The first two
must agree to the byte, the third within `TOLERANCE`, since observations are float32; and all must lie in [-1, 1]. Where
a step is a number of events and a feed tells no trades the third is left out: the environment counts trades that it
infers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.promotion.gates import Gate
from evaluation.promotion.slow_features import FROM_PRINTS, SlowMarket, has_prints
from sim.tape import Tape
from sim.types import INTENT

if TYPE_CHECKING:
    from envs.vector import TradingVectorEnv

TOLERANCE = 2e-6
NAME = "features"
EXPECTED = f"observations of tapes equal in a batch and alone, {TOLERANCE:g} from a second reckoning, and in [-1, 1]"
# make(num_envs, first_env): an environment of one market that plays the tapes in turn and does not reset by itself
MakeReplay = Callable[[int, int], "TradingVectorEnv"]


def no_tapes(waived: str = "") -> Gate:
    """The verdict where nobody named a tape."""
    return Gate(NAME, None, EXPECTED, "not run: no tapes", waived=waived)


def feature_gate(
    make: MakeReplay, tapes: tuple[Tape, ...], names: tuple[str, ...], *, events_per_step: int | None = None
) -> Gate:
    """Observations of ``tapes``, called ``names``, made in three ways; ``events_per_step`` None = steps are of time.

    Raises ValueError without tapes.
    """
    if not tapes:
        raise ValueError("features: expected at least one tape")
    seen = _played(make(len(tapes), 0))
    figures: dict[str, Any] = {"tapes": {}, "tolerance": TOLERANCE}
    wrong: list[str] = []
    for number, (name, tape) in enumerate(zip(names, tapes, strict=True)):
        env = make(1, number)
        feature_names = env.spec_sheet["observation"]
        alone = _played(env)[0]
        compared, differences = 0, dict[str, float]()
        if events_per_step is None or has_prints(tape):
            compared, differences = _against_slow(make(1, number), tape, alone, events_per_step)
        entry = {
            "digest": tape.header.digest, "observations": len(alone), "alone_equal": _same(alone, seen[number]),
            "outside": _outside(alone, feature_names),
            "features": alone.shape[1], "compared": compared, "worst": max(differences.values(), default=0.0),
        }  # fmt: skip
        figures["tapes"][name] = entry
        if not entry["alone_equal"]:
            wrong.append(f"{name}: alone and in a batch of {len(tapes)} differ")
        wrong += [f"{name}: {feature} = {value:.3g}" for feature, value in entry["outside"].items()]
        wrong += [
            f"{name}: {feature} differs by {gap:.3g}" for feature, gap in differences.items() if not gap <= TOLERANCE
        ]
    count = sum(entry["observations"] for entry in figures["tapes"].values())
    entry = max(figures["tapes"].values(), key=lambda entry: entry["compared"])
    if not entry["compared"]:
        wrong.append("nothing was reckoned again: steps are events, and no tape tells trades")
    again = f"{entry['compared']} of {entry['features']} features reckoned again"
    fine = f"{count} observations of {len(tapes)} tapes, {again}"
    return Gate(NAME, not wrong, EXPECTED, "; ".join(wrong[:8]) or fine, figures)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def _played(env: TradingVectorEnv) -> list[np.ndarray]:
    """Observations ``(T, F)`` of each environment's one episode without an order, its last one included."""
    observations, _ = env.reset()
    orders = np.zeros((env.num_envs, 1, 2), INTENT)
    kept: list[list[np.ndarray]] = [[row.copy()] for row in observations]
    running = np.ones(env.num_envs, np.bool_)
    while running.any():
        observations, _, terminated, truncated, _ = env.step_orders(orders)
        for index in np.flatnonzero(running):
            kept[index].append(observations[index].copy())
        running &= ~(terminated | truncated)
    env.close()
    return [np.array(rows) for rows in kept]


def _outside(observations: np.ndarray, names: list[str]) -> dict[str, float]:
    """The largest size of every feature that leaves [-1, 1], or is not a number."""
    sizes = np.abs(observations).max(axis=0).tolist()
    return {name: size for name, size in zip(names, sizes, strict=True) if not size <= 1.0}


def _against_slow(
    env: TradingVectorEnv, tape: Tape, observations: np.ndarray, events: int | None
) -> tuple[int, dict[str, float]]:
    """How many features were reckoned again, and the largest difference of each that differs at all.

    Of a feature beyond [-1, 1] it is relative: that it is there at all is said elsewhere.
    """
    env.reset()
    orders = np.zeros((1, 1, 2), INTENT)
    account = env.engine.state.account[0]
    market = SlowMarket(tape, env.engine.world.px_of.tolist())
    market.begin()
    names = env.spec_sheet["observation"]
    left_out = set() if has_prints(tape) else set(FROM_PRINTS)
    worst: dict[str, float] = {}
    columns: list[tuple[int, str]] = []
    for step, row in enumerate(observations):
        if step > 0:
            env.step_orders(orders)
            # the clock of the step is the environment's; which rows it lets in, and what they mean, is not
            market.advance(int(account["now_ns"]), events)
        again = market.look(int(account["end_ns"]))
        if step == 0:
            columns = [(at, name) for at, name in enumerate(names) if name in again and name not in left_out]
        for at, name in columns:
            gap = abs(float(row[at]) - again[name]) / max(1.0, abs(again[name]))
            if gap > worst.get(name, 0.0) or np.isnan(gap):
                worst[name] = gap
    env.close()
    return len(columns), worst
