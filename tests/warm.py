"""Compiles the kernels into the cache, so that parallel test workers load them: ``python -m tests.warm``."""

import time

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.policy import load
from envs.vector import TradingVectorEnv
from sim.strategies import STRATEGIES


def main() -> None:
    """A few steps of every baseline, in a batch of two."""
    started = time.perf_counter()
    env = TradingVectorEnv(2, actions="maker21", autoreset_mode=AutoresetMode.SAME_STEP)
    obs, _ = env.reset(seed=0)
    for name in STRATEGIES:
        obs, *_ = env.step(load(f"baseline:{name}", env.spec_sheet).act(obs))
    assert np.isfinite(obs).all()
    print(f"kernels ready after {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
