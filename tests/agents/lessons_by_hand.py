"""Teachers whose every step is known, as data sets."""

import numpy as np

from agents.trajectories import Trajectories

FACTS = {
    "teacher": "baseline:quoter",
    "parameters": {"size": 10.0},
    "seed": 0,
    "observation": ["clock", "row"],
    "observation_digest": "aa",
    "actions": [["hold", "YES", 0, "cross"], ["buy", "YES", 5, "cross"]],
    "action_digest": "bb",
    "costs": ["time", "ten"],
    "scenario_digest": "cc",
}


def trajectories(lengths, obs, actions, *, masks=None, rewards=None, costs=None, terminated=None, **facts):
    """Whole episodes of ``lengths``; what is not given is 0, and every episode is terminated."""
    rows, episodes = sum(lengths), len(lengths)
    names = facts.get("costs", FACTS["costs"])
    return Trajectories(
        np.asarray(obs, np.float32),
        np.asarray(actions),
        masks,
        np.zeros(rows, np.float32) if rewards is None else np.asarray(rewards, np.float32),
        np.zeros((rows, len(names)), np.float32) if costs is None else np.asarray(costs, np.float32),
        np.array(lengths, np.int64),
        np.ones(episodes, bool) if terminated is None else np.array(terminated),
        {**FACTS, **facts},
    )


def sides(episodes=40, length=25, seed=0):
    """The teacher buys where the first feature is above 0. A step pays 1 where it buys; episodes cost nothing."""
    random = np.random.default_rng(seed)
    obs = random.normal(size=(episodes * length, 2))
    actions = (obs[:, 0] > 0).astype(np.int64)
    return trajectories([length] * episodes, obs, actions, rewards=actions)


def echoes(episodes=64, length=6, seed=0):
    """The teacher buys where the feature of the step before was above 0; in an episode's first step it holds."""
    random = np.random.default_rng(seed)
    obs = random.choice([-1.0, 1.0], size=(episodes, length, 2))
    actions = np.zeros((episodes, length), np.int64)
    actions[:, 1:] = obs[:, :-1, 0] > 0
    return trajectories([length] * episodes, obs.reshape(-1, 2), actions.reshape(-1))
