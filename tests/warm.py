"""Compiles the kernels into the cache, so that parallel test workers load them: ``python -m tests.warm [sim]``."""

import sys
import time


def main() -> None:
    """What the tests of the simulator play; unless they are all that is asked for, what the environments' do."""
    started = time.perf_counter()
    warm_simulator()
    if sys.argv[1:] != ["sim"]:
        warm_environments()
    print(f"kernels ready after {time.perf_counter() - started:.1f} s")


def warm_simulator() -> None:
    """An engine; a backtest, one kernel for all strategies; a recording."""
    from sim.backtest import backtest
    from sim.engine import Engine
    from sim.scenarios import synthetic
    from sim.scenarios.record import record
    from sim.scenarios.row import make_rows
    from sim.strategies.market_makers import joiner

    rows = make_rows(1)
    engine = Engine(synthetic(rows), 1)
    engine.reset()
    engine.advance(1.0)
    backtest(engine, joiner, seconds=1.0)
    record(rows, 1.0)


def warm_environments() -> None:
    """A few steps of every baseline, in a batch of two; a strategy that plays an environment; a step in halves."""
    import numpy as np
    from gymnasium.vector import AutoresetMode

    from agents.policy import load
    from envs.vector import TradingVectorEnv
    from sim.backtest import Trader
    from sim.scenarios import synthetic
    from sim.scenarios.row import make_rows
    from sim.strategies import STRATEGIES
    from sim.strategies.market_makers import joiner

    env = TradingVectorEnv(2, actions="maker21", autoreset_mode=AutoresetMode.SAME_STEP)
    obs, _ = env.reset(seed=0)
    for name in STRATEGIES:
        obs, *_ = env.step(load(f"baseline:{name}", env.spec_sheet).act(obs))
    assert np.isfinite(obs).all()
    env = TradingVectorEnv(2, scenario=synthetic(make_rows(1, life_s=2.0)), autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    env.play_through(Trader(env.engine, joiner))
    env = TradingVectorEnv(1, limits="balanced")
    env.reset(seed=0)
    now = env._turn()
    env.core.prepare(np.zeros(1, np.int64), now)  # a step in two halves, as beside a venue
    env.core.proceed(1_000_000_000, now)


if __name__ == "__main__":
    main()
