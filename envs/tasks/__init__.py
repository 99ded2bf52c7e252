"""Textbook problems as native batched environments: small enough that their best policies can be computed.

``make("lqr", 1024)`` is a batch of one of ``TASKS``. What the best policy reaches is in ``evaluation.optima``, and how
the learner does against it is printed by ``python -m evaluation known_answers``.
"""

from __future__ import annotations

from typing import Any

from envs.tasks.almgren_chriss import AlmgrenChriss, AlmgrenChrissVectorEnv
from envs.tasks.batch import TextbookVectorEnv
from envs.tasks.cmdp import Garnet, GarnetVectorEnv
from envs.tasks.kelly import Kelly, KellyVectorEnv
from envs.tasks.lqr import LQR, LQRVectorEnv
from envs.tasks.market_making import (
    CARTEA_JAIMUNGAL_PENALVA,
    GUEANT_LEHALLE_FERNANDEZ_TAPIA,
    MarketMaking,
    MarketMakingVectorEnv,
)

__all__ = [
    "CARTEA_JAIMUNGAL_PENALVA",
    "GUEANT_LEHALLE_FERNANDEZ_TAPIA",
    "LQR",
    "TASKS",
    "AlmgrenChriss",
    "AlmgrenChrissVectorEnv",
    "Garnet",
    "GarnetVectorEnv",
    "Kelly",
    "KellyVectorEnv",
    "LQRVectorEnv",
    "MarketMaking",
    "MarketMakingVectorEnv",
    "TextbookVectorEnv",
    "make",
]

TASKS: dict[str, tuple[type[TextbookVectorEnv], Any]] = {
    "cmdp": (GarnetVectorEnv, Garnet()),
    "lqr": (LQRVectorEnv, LQR()),
    "kelly": (KellyVectorEnv, Kelly()),
    "almgren_chriss": (AlmgrenChrissVectorEnv, AlmgrenChriss()),
    "cartea_jaimungal_penalva": (MarketMakingVectorEnv, CARTEA_JAIMUNGAL_PENALVA),
    "gueant_lehalle_fernandez_tapia": (MarketMakingVectorEnv, GUEANT_LEHALLE_FERNANDEZ_TAPIA),
}


def make(name: str, num_envs: int, **settings: Any) -> TextbookVectorEnv:
    """A batch of ``num_envs`` copies of the task ``name``, with its default parameters.

    ``settings`` are those of :class:`envs.tasks.batch.TextbookVectorEnv`, and ``task`` for other parameters. Raises
    ValueError for an unknown name.
    """
    if name not in TASKS:
        raise ValueError(f"no textbook task {name!r}; expected one of {', '.join(TASKS)}")
    kind, task = TASKS[name]
    return kind(num_envs, **{"task": task, **settings})
