"""What may stand in a config, and of which type. A misspelt key is an error that names the path.

The classes are not frozen: Hydra refuses to override a frozen one. Hyperparameters live beside the code they belong to
(`agents.config.PPOConfig`, `curricula.phase.Phase`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from agents.config import PPOConfig
from agents.tracking.config import TrackingConfig, check_tracking
from configs.workers import check_workers
from curricula.phase import Curriculum, Phase, RowRanges
from sim.scenarios.row import FILL_SET


@dataclass
class DirectionalConfig:
    """One market, one account, orders from an action table or a control surface: `envs.vector.TradingVectorEnv`."""

    actions: str = "taker21"
    features: list[str] = field(default_factory=lambda: ["book", "time", "portfolio", "orders", "signal"])
    hidden: list[str] = field(default_factory=list)  # groups among them that stay 0: a curriculum shows them later
    sizes: list[float] | None = None  # contracts of the table's orders that are offered; null = all
    reward: dict[str, float] = field(default_factory=lambda: {"pnl": 1.0})  # weight by name of the term
    costs: list[str] = field(default_factory=lambda: ["drawdown", "kill", "inventory", "order_rate"])
    dt_s: float | None = 1.0  # market seconds a step, or:
    events_per_step: int | None = None  # market events a step
    window_s: float = float("inf")  # an episode is truncated here; inf = at the end of its market
    cash: float = 10_000.0  # dollars
    fill_model: str = "queue"
    kill_drawdown: float = 0.05  # share of the cash; a larger drawdown is charged as the kill cost
    cross_ticks: int = 2  # ticks past the best opposite quote that a crossing order may pay
    start_contracts: float = 0.0  # YES contracts that an episode begins with, paid for at the mid
    # of the shield: a preset, or {preset: small, per_trade: 0.01, ...}; null = no shield. See docs/shield.md
    limits: Any = None


@dataclass
class ScenarioConfig:
    """What all scenarios have in common."""

    kind: str = MISSING
    rows: RowRanges = field(default_factory=RowRanges)  # a number, or [low, high] to draw from
    row_count: int = 256  # rows drawn; each episode takes one of them
    fill_set: str = FILL_SET  # recordings that the probabilistic fill model was fitted on; see docs/fill-model.md


@dataclass
class SyntheticConfig(ScenarioConfig):
    """Generated markets only."""

    kind: str = "synthetic"
    venue: str = "polymarket"  # whose ticks, fees and rules; recorded markets bring their own
    table: str | None = None  # a scenario table, by name or file: its venue, and its rows where ``rows`` says nothing


@dataclass
class ReplayConfig(ScenarioConfig):
    """Recorded markets only. Training takes the earlier markets, the evaluation the later ones."""

    kind: str = "replay"
    tapes: str = MISSING  # a folder of tapes, or "resolvedkit": the 18 markets of that package
    held_out: float = 1 / 3  # share of the markets, the last by time, that training never sees
    # walk-forward instead of one split, see configs.folds: judge on fold 1 to ``folds``, train on what was over before
    folds: int | None = None
    fold: int | None = None
    embargo_h: float = 0.0  # hours between the end of the last training market and the start of the first judged one
    event: str | None = None  # pattern in tapes' names: what it finds is one market, such as both sides of a game


@dataclass
class MixConfig(ReplayConfig):
    """Each episode is recorded with probability ``replay_share``, else generated."""

    kind: str = "mix"
    tapes: str = "resolvedkit"
    replay_share: float = 0.5


@dataclass
class GroupConfig:
    """Markets that share a belief, and are linked: see `sim.scenarios.portfolio`, docs/portfolios.md."""

    kind: str = MISSING  # exclusive, same, nested, complement, single
    venues: list[str] = field(
        default_factory=lambda: ["kalshi"]
    )  # one; of same: two or more; of complement: one or two
    # not given = None; other kinds than those named refuse it
    markets: int | None = None  # of an exclusive set and of nested strikes: 2
    exhaustive: bool | None = None  # of an exclusive set: exactly one market pays (true), or at most one
    nets: bool | None = None  # of an exclusive set: its venue nets it (Kalshi returns collateral, Polymarket: negRisk)


@dataclass
class LinkConfig:
    """What is known of the payouts of some markets, by their number: see `sim.links`."""

    kind: str = MISSING  # exclusive, same, nested
    markets: list[int] = MISSING  # of nested: the hardest first
    exhaustive: bool | None = None  # of exclusive, and refused of others: not given = true
    nets: bool | None = None  # of exclusive, and refused of others: not given = false


@dataclass
class PortfolioConfig(ScenarioConfig):
    """Several generated markets an environment, on one venue or two."""

    kind: str = "portfolio"
    groups: list[GroupConfig] = MISSING
    links: list[LinkConfig] | None = None  # None = what the groups say


@dataclass
class LibraryConfig(ScenarioConfig):
    """Generated markets of an entry of the scenario library; ``rows`` go before its own."""

    kind: str = "library"
    name: str = MISSING  # of an entry of `curricula.entries`, or a file
    version: int | None = None  # which version of it; None = whichever there is


_SCENARIOS = {node.kind: node for node in (SyntheticConfig, ReplayConfig, MixConfig, PortfolioConfig, LibraryConfig)}


BASELINES = ("noop", "random", "imbalance", "signal", "quoter")


@dataclass
class EvaluationConfig:
    """What a run or a checkpoint is judged by."""

    synthetic_episodes: int = 512  # of the synthetic scenario; recorded markets are played once each
    seed: int = 1_000_000  # of the rows and worlds that policies are judged on; give training other numbers
    baselines: list[str] | None = field(default_factory=lambda: list(BASELINES))  # beside a run; None = these
    fill_models: list[str] = field(default_factory=lambda: ["pessimistic", "probabilistic", "optimistic"])
    deterministic: bool = True  # a trained policy takes its most likely action; false = it samples, as in training
    failures: str | None = "library"  # a table of failures to play again: the project's own, or a file; null = none


@dataclass
class TrainerConfig:
    """What runs the learner: Stable-Baselines3, where it is no other."""

    kind: str = "sb3"


@dataclass
class RLlibConfig(TrainerConfig):
    """Ray's RLlib. Without env runners elsewhere a run is that of SB3, bit for bit."""

    kind: str = "rllib"
    num_env_runners: int = 0  # processes, also on other nodes, that share the environments; 0 = this process plays
    num_cpus_per_env_runner: float = 1.0  # that Ray sets aside for each
    num_cpus: int | None = None  # of a Ray that has to be started; null = one more than there are env runners


_TRAINERS = {node.kind: node for node in (TrainerConfig, RLlibConfig)}


@dataclass
class Config:
    """Of train.py."""

    agent: PPOConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    env: DirectionalConfig = MISSING
    scenario: ScenarioConfig = MISSING
    curriculum: Curriculum | None = None  # not in the defaults list: +curriculum=phase1
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    total_steps: float = 2e6  # a whole number; rounded up to whole rollouts
    num_envs: int = 512
    seed: int = 0
    threads: int = 1  # of torch and of the engine
    run_name: str | None = None  # default: <task>-<agent>-seed<seed>-<time>
    checkpoints: str = "checkpoints"  # folder of the run folders
    save_every: int = 10  # updates between checkpoints
    tensorboard: bool = False  # also write event files into the run folder
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    init_from: str | None = None  # a run whose policy training begins with; from=RUN on the command line
    resume: str | None = None  # a run folder: go on where it was killed, with its own config and nothing else


@dataclass
class EvaluateConfig:
    """Of evaluate.py: a run beside baselines, or baselines alone, ``scenario=negrisk4 policies=[arbitrageur,noop]``."""

    checkpoint: str | None = None  # a run folder; its policy comes first, evaluation.baselines after it
    policies: list[str] = field(default_factory=list)  # baselines to judge instead of a run and its baselines
    scenario: ScenarioConfig | None = None  # instead of the run's own
    env: DirectionalConfig | None = None  # without a run: the environment that the policies play in
    # baselines not given = None: where policies are named there is no run for them to stand beside
    evaluation: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(baselines=None))
    tapes: str | None = None  # judge on these tapes instead of the run's own evaluation scenario
    out: str | None = None  # folder of the report; default outputs/<run>-<time>
    # library: every entry of the scenario library; montecarlo: many episodes and their tail; None = one scorecard
    suite: str | None = None
    n: float = 1e6  # episodes a policy of suite=montecarlo
    shard: int = 1024  # of them at once
    # of suite=montecarlo: processes on this machine; or ray: all of a Ray cluster. No result depends on it
    workers: Any = 1
    tensorboard: bool = False  # also write event files
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


def register() -> None:
    """Make the schemas known to Hydra; the YAML files of each group name theirs in their defaults list."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=Config)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(group="agent", name="ppo_schema", node=PPOConfig)
    store.store(group="env", name="directional_schema", node=DirectionalConfig)
    store.store(group="curriculum", name="curriculum_schema", node=Curriculum)
    store.store(group="curriculum/lesson", name="phase_schema", node=Phase)
    for kind, trainer in _TRAINERS.items():
        store.store(group="trainer", name=f"{kind}_schema", node=trainer)
    for kind, node in _SCENARIOS.items():
        store.store(group="scenario", name=f"{kind}_schema", node=node)


def to_config(composed: DictConfig) -> Any:
    """The dataclass instance of a composed config, checked as far as one field allows. Raises ValueError, or Hydra's
    error for a value that is missing."""
    config = OmegaConf.to_object(composed)
    _check_keys("", config)
    if isinstance(config, Config):
        _check(config)
    if isinstance(config, EvaluateConfig):
        _check_evaluate(config)
    return config


def read_run_config(run: Path) -> Config:
    """The config a run was made with. Raises ValueError naming the file where it is not one of this program's."""
    path = run / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected the resolved config of a run")
    try:
        stored = OmegaConf.load(path)
        kind = OmegaConf.select(stored, "scenario.kind")
        if kind not in _SCENARIOS:
            raise ValueError(f"scenario.kind = {kind!r}: expected one of {', '.join(_SCENARIOS)}")
        schema = Config(agent=PPOConfig(), env=DirectionalConfig(), scenario=_SCENARIOS[kind]())
        schema.trainer = _TRAINERS[OmegaConf.select(stored, "trainer.kind", default=TrainerConfig.kind)]()
        return to_config(OmegaConf.merge(OmegaConf.structured(schema), stored))  # type: ignore[arg-type]
    except (ValueError, OmegaConfBaseException, YAMLError) as error:
        raise ValueError(f"{path}: not a config that this version can read: {error}") from None


def phase_of(config: Config) -> Phase | None:
    """The one phase that a run trains in; None = no curriculum. Raises ValueError for several: those are runs each."""
    if config.curriculum is None:
        return None
    phases = list(config.curriculum.phases.values())
    if len(phases) != 1:
        raise ValueError(f"curriculum.phases = {list(config.curriculum.phases)}: expected the one phase of a run")
    return phases[0]


def whole_steps(config: Config) -> int:
    """``total_steps`` as an integer, so that 2e6 may be written."""
    return int(config.total_steps)


def _check_keys(path: str, value: object) -> None:
    """Raise ValueError for a key that no schema has: +key=value gets past Hydra."""
    if isinstance(value, dict):
        for key, entry in value.items():
            _check_keys(f"{path}{key}.", entry)
    if not is_dataclass(value):
        return
    known = [entry.name for entry in fields(value)]
    for key, entry in vars(value).items():
        if key not in known:
            raise ValueError(f"no key {path}{key}; {path.rstrip('.') or 'the config'} has {', '.join(known)}")
        _check_keys(f"{path}{key}.", entry)


SUITES = ("library", "montecarlo")


def _check_suite(config: EvaluateConfig) -> None:
    if config.suite not in (None, *SUITES):
        raise ValueError(f"suite = {config.suite}: expected one of {', '.join(SUITES)}, or none")
    if config.suite is not None and config.tapes is not None:
        raise ValueError(f"tapes = {config.tapes}: suite={config.suite} plays generated markets; leave one of them out")
    if config.suite == "library" and config.scenario is not None:
        raise ValueError("suite=library plays every entry of the library: leave scenario out")
    if config.suite == "montecarlo" and not config.evaluation.deterministic:
        raise ValueError("evaluation.deterministic = false: suite=montecarlo plays likeliest actions; leave it out")
    if not (config.n.is_integer() and config.n >= 1):
        raise ValueError(f"n = {config.n}: expected a whole number of episodes, such as 1e6")
    if config.shard < 1:
        raise ValueError(f"shard = {config.shard}: expected at least 1")
    check_workers(config.workers)


def _check_evaluate(config: EvaluateConfig) -> None:
    check_tracking(config.tracking)
    _check_suite(config)
    if (config.checkpoint is None) == (not config.policies):
        raise ValueError(
            f"checkpoint = {config.checkpoint}, policies = {config.policies}: expected one of them: a run folder, or "
            f"baselines such as [arbitrageur,noop]"
        )
    if config.policies and config.evaluation.baselines is not None:
        raise ValueError(
            f"evaluation.baselines = {config.evaluation.baselines} stand beside a run, and there is none: leave them "
            f"out, or add them to policies = {config.policies}"
        )
    nowhere = config.scenario is None and config.tapes is None and config.suite != "library"
    if config.checkpoint is None and nowhere:
        raise ValueError("policies without a run need to know where to play: add scenario=NAME, or tapes=DIR")
    if config.checkpoint is not None and config.env is not None:
        raise ValueError("env is the run's own: leave it out, or give policies instead of a checkpoint")
    if config.scenario is not None and config.tapes is not None:
        raise ValueError(f"tapes = {config.tapes}: the scenario says where to play; leave one of them out")


def _trainer_numbers(trainer: TrainerConfig) -> list[tuple[str, float, float]]:
    """Path, value and least value of what a trainer counts."""
    if not isinstance(trainer, RLlibConfig):
        return []
    cpus = [] if trainer.num_cpus is None else [("trainer.num_cpus", trainer.num_cpus, 1)]
    return [("trainer.num_env_runners", trainer.num_env_runners, 0), *cpus]


def _check(config: Config) -> None:
    check_tracking(config.tracking)
    least_steps = 1 if config.agent.warm_start is None else 0  # 0: clone, and learn nothing else
    if not config.total_steps.is_integer() or config.total_steps < least_steps:
        raise ValueError(
            f"total_steps = {config.total_steps}: expected a whole number of at least {least_steps}, such as 2e6"
        )
    for path, value, least in (
        ("num_envs", config.num_envs, 1),
        ("threads", config.threads, 1),
        ("save_every", config.save_every, 1),
        ("seed", config.seed, 0),
        *_trainer_numbers(config.trainer),
    ):
        if value < least:
            raise ValueError(f"{path} = {value}: expected at least {least}")
    if config.seed == config.evaluation.seed:
        raise ValueError(
            f"evaluation.seed = seed = {config.seed}: judging on the worlds of training; change one of them"
        )
    if (config.env.dt_s is None) == (config.env.events_per_step is None):
        raise ValueError(
            f"env.dt_s = {config.env.dt_s}, env.events_per_step = {config.env.events_per_step}: a step is one or the "
            f"other; set one of them to null"
        )
