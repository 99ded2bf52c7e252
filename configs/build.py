"""What a config builds: the scenarios of training and of judging, and environments that play them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.config import discount
from configs.portfolio import portfolio_of
from configs.schema import (
    Config,
    DirectionalConfig,
    EvaluationConfig,
    GroupConfig,
    LibraryConfig,
    MixConfig,
    PortfolioConfig,
    ReplayConfig,
    ScenarioConfig,
    SyntheticConfig,
    phase_of,
)
from configs.tapes import split_of, split_tapes
from curricula.entries import Entry, load_entry
from curricula.lessons import draw
from curricula.phase import Phase
from envs.rewards import POTENTIALS
from envs.vector import TradingVectorEnv
from sim.scenarios import Scenario, mix, replay, synthetic
from sim.scenarios.tables import load_table, rows_of

_PICK = 0xB1C  # purpose of random numbers, beyond the fields of a row
Generated = SyntheticConfig | PortfolioConfig | LibraryConfig  # scenarios without a recording


class Trial(NamedTuple):
    """What a policy is judged on."""

    title: str  # "held-out markets", for tables and reports
    scenario: Scenario
    episodes: int
    num_envs: int
    wanted: ScenarioConfig | None = None  # the config that it was made of; it may say something of the environment


def training_scenario(config: Config) -> Scenario:
    """Where training episodes come from: rows drawn with the run's seed, and of recorded markets the earlier ones."""
    wanted = config.scenario
    if isinstance(wanted, Generated):
        return generated(wanted, phase_of(config), config.seed)
    rows = _drawn(wanted, phase_of(config), config.seed)
    assert isinstance(wanted, ReplayConfig)  # the schema knows no sixth kind
    train = split_of(wanted).train
    share = wanted.replay_share if isinstance(wanted, MixConfig) else 1.0
    return mix(train, rows, replay_share=share)


def generated_side(config: Config) -> Scenario:
    """The generated markets of training; those of a mix without its recordings."""
    return replace(training_scenario(config), tapes=(), names=(), replay_share=0.0)


def _drawn(wanted: ScenarioConfig, phase: Phase | None, seed: int, base: np.ndarray | None = None) -> np.ndarray:
    """Rows drawn from the scenario's ranges, with its fill model."""
    return draw(wanted.rows, phase, wanted.row_count, seed, base, fill_set=wanted.fill_set)


def generated(wanted: Generated, phase: Phase | None, seed: int, *, at_random: bool = False) -> Scenario:
    """Synthetic markets from the library, from a scenario table, or from ranges alone.

    A table's rows are taken in turn, or ``at_random``.
    """
    if isinstance(wanted, LibraryConfig):
        return _from_library(wanted, phase, seed, at_random)
    if isinstance(wanted, PortfolioConfig):
        portfolio, links = portfolio_of(wanted)
        return Scenario(_drawn(wanted, phase, seed), portfolio=portfolio, links=links)
    if wanted.table is None:
        return synthetic(_drawn(wanted, phase, seed), venue=wanted.venue)
    table = load_table(wanted.table)
    if wanted.venue not in (SyntheticConfig.venue, table.place.venue):
        raise ValueError(
            f"scenario.venue = {wanted.venue}, but scenario.table = {wanted.table} is of {table.place.venue}: "
            "leave one out"
        )
    base = _picked(rows_of(table), wanted.row_count, seed) if at_random else rows_of(table)
    return Scenario(_drawn(wanted, phase, seed, base), places=(table.place,))


def _picked(base: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``(count,)`` rows of ``base`` at random, with replacement."""
    generator = np.random.Generator(np.random.Philox(key=[seed, _PICK]))
    return base[generator.integers(0, len(base), count)]


def entry_of(wanted: LibraryConfig) -> Entry:
    """The entry a config names. Raises ValueError where there is none, or not in that version."""
    entry = load_entry(wanted.name)
    if wanted.version not in (None, entry.version):
        raise ValueError(
            f"scenario.version = {wanted.version}, but {wanted.name} is at version {entry.version}: leave it out, or "
            "name a file that holds the other one"
        )
    return entry


def _from_library(wanted: LibraryConfig, phase: Phase | None, seed: int, at_random: bool) -> Scenario:
    entry = entry_of(wanted)
    base = entry.base_rows()
    if at_random and base is not None:
        base = _picked(base, wanted.row_count, seed)
    rows = _drawn(replace(wanted, rows=entry.overlaid(wanted.rows)), phase, seed, base)
    if not entry.groups:
        return Scenario(rows, places=(entry.place,))
    portfolio, links = portfolio_of(PortfolioConfig(groups=[GroupConfig(**group) for group in entry.groups]))
    return Scenario(rows, portfolio=portfolio, links=links)


def settled(env: DirectionalConfig, wanted: ScenarioConfig | None) -> DirectionalConfig:
    """``env`` with what an entry of the library says of the environment.

    Raises ValueError where ``env`` says something else than its default or the entry.
    """
    said: dict[str, Any] = dict(entry_of(wanted).env) if isinstance(wanted, LibraryConfig) else {}
    usual = {field.name: field.default for field in fields(DirectionalConfig)}
    for name, value in said.items():
        if getattr(env, name) not in (usual[name], value):
            raise ValueError(
                f"env.{name} = {getattr(env, name)}, but scenario.name = {wanted.name} begins with {value}: "  # type: ignore[union-attr]
                "leave one of them out"
            )
    return replace(env, **said)


def trial(wanted: ScenarioConfig, evaluation: EvaluationConfig, trained_with: int | None) -> Trial:
    """What training did not see: later recorded markets, each played once, or synthetic episodes of other rows.

    ``trained_with`` is the seed of the training, None where there was none. A curriculum changes training only: the
    rows are drawn from the scenario's own ranges, with the evaluation's seed, and each is played once.
    """
    if evaluation.seed == trained_with:
        raise ValueError(f"evaluation.seed = {evaluation.seed} is the seed the run was trained with: use another one")
    if isinstance(wanted, Generated):
        # a row and an environment an episode: episodes that share a row are alike, and intervals would be too narrow
        count = evaluation.synthetic_episodes
        scenario = generated(replace(wanted, row_count=count), None, evaluation.seed)
        return Trial("unseen synthetic episodes", replace(scenario, sequential=True), count, count, wanted)
    rows = _drawn(wanted, None, evaluation.seed)
    assert isinstance(wanted, ReplayConfig)
    split = split_of(wanted)
    title, tapes = ("held-out markets", split.held_out) if split.held_out else ("the training markets", split.train)
    if wanted.folds is not None:
        left_out = f"embargo {wanted.embargo_h:g} h, {len(split.purged)} tapes purged"
        title = f"markets of fold {wanted.fold} of {wanted.folds}, {left_out}"
    return Trial(title, replay(tapes, rows, sequential=True), len(tapes), len(tapes))


def recorded_trial(tapes: str, wanted: ScenarioConfig, evaluation: EvaluationConfig) -> Trial:
    """Every market in a folder of tapes, each played once."""
    rows = _drawn(wanted, None, evaluation.seed)
    files = split_tapes(tapes, 0.0).train
    return Trial(f"markets of {tapes}", replay(files, rows, sequential=True), len(files), len(files))


def make_env(env: DirectionalConfig, scenario: Scenario, **settings: Any) -> TradingVectorEnv:
    """The environment a config describes; ``settings`` are the other arguments of `TradingVectorEnv`.

    Several markets' features lie side by side: SB3's networks, and policies made of them, take vectors.
    """
    clock: dict[str, Any] = (
        {"dt_s": env.dt_s} if env.events_per_step is None else {"events_per_step": env.events_per_step}
    )
    return TradingVectorEnv(
        scenario=scenario,
        actions=env.actions,
        features=env.features,
        hidden=env.hidden,
        sizes=env.sizes,
        reward=env.reward,
        costs=env.costs,
        window_s=env.window_s,
        cash=env.cash,
        kill_drawdown=env.kill_drawdown,
        cross_ticks=env.cross_ticks,
        start_contracts=env.start_contracts,
        limits=env.limits,
        flatten=True,
        **clock,
        **{"fill_model": env.fill_model, **settings},
    )


def training_batch(config: Config, **settings: Any) -> TradingVectorEnv:
    """An environment on the training scenario, with the run's seed; ``settings`` as in `make_env`.

    Potentials among its reward terms grow by the learner's discount, or they would change its optimum.
    """
    if any(name in POTENTIALS for name in config.env.reward):
        settings = {"shaping_gamma": discount(config.agent.gamma_per_s, config.env.dt_s), **settings}
    return make_env(settled(config.env, config.scenario), training_scenario(config), seed=config.seed, **settings)


def training_env(config: Config) -> TradingVectorEnv:
    """The batch that trains: it resets in the step that ends an episode, as SB3 wants."""
    return training_piece(config, 0, config.num_envs)


def training_piece(config: Config, first: int, count: int) -> TradingVectorEnv:
    """The environments ``first`` to ``first + count - 1`` of `training_env`: together they play the same episodes."""
    return training_batch(
        config,
        num_envs=count,
        first_env=first,
        threads=config.threads,
        staggered=True,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )


def trial_env(env: DirectionalConfig, what: Trial, evaluation: EvaluationConfig) -> Callable[..., TradingVectorEnv]:
    """``make(fill_model=...)`` for `evaluation.evaluate`: fresh environments that all meet the same worlds."""

    def make(fill_model: str) -> TradingVectorEnv:
        return make_env(
            settled(env, what.wanted),
            what.scenario,
            num_envs=what.num_envs,
            seed=evaluation.seed,
            fill_model=fill_model,
            autoreset_mode=AutoresetMode.DISABLED,
        )

    return make


def library_digests(wanted: ScenarioConfig) -> dict[str, dict[str, str]]:
    """For a manifest: version and digest of the library's entry that is played; nothing elsewhere."""
    if not isinstance(wanted, LibraryConfig):
        return {}
    entry = entry_of(wanted)
    return {"library": {entry.name: f"version {entry.version}, {entry.digest}"}}


def data_digests(scenario: Scenario) -> dict[str, str]:
    """Digest of each tape that the scenario may show, by name."""
    return {name: tape.header.digest for name, tape in zip(scenario.names, scenario.tapes, strict=True)}
