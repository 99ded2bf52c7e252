"""An RLlib run on one of the small tasks, without an algorithm and without Ray."""

from agents.budgets import constraints
from agents.config import PPOConfig
from agents.describe import describe
from agents.device import find_device, is_mixed
from agents.rllib.algorithm import ConstrainedAlgorithm
from agents.rllib.learner import ConstrainedLearner, connectors
from agents.rllib.runner import BulkEnvRunner
from agents.rllib.settings import Settings, configure


def small(**config):
    """The hyperparameters of ``learner_envs.learner``."""
    return PPOConfig(**{"n_steps": 8, "minibatches": 2, "epochs": 2, "hidden": [8], **config})


def configured(make, agent, *, num_envs, gamma=1.0, markets=1, seed=0, runners=0, cost_names=("cost",)):
    """RLlib's configuration of a run on ``make(count)``."""
    env = make(1)
    spaces = env.single_observation_space, env.single_action_space
    settings = Settings(
        agent=agent,
        constraints=[] if agent.budgets is None else constraints(agent.budgets, cost_names),
        cost_names=tuple(cost_names),
        reward_names=(),
        gamma=gamma,
        spec=describe(*spaces, agent, markets),
        observation_space=spaces[0],
        action_space=spaces[1],
        seed=seed,
        num_envs=num_envs,
        runners=runners,
        make=lambda first, count: make(count),
        device=find_device(agent.device),
        mixed=is_mixed(agent, find_device(agent.device), played_elsewhere=runners > 0),
    )
    return configure(ConstrainedAlgorithm, BulkEnvRunner, ConstrainedLearner, connectors, settings)


def make_learner(config):
    """The learner of a configuration, built as RLlib builds it."""
    module = config.get_multi_rl_module_spec(spaces={"default_policy": _spaces(config)})
    learner = ConstrainedLearner(config=config, module_spec=module)
    learner.build()
    return learner


def _spaces(config):
    return config.run.observation_space, config.run.action_space
