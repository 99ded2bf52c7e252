"""A warm start: play a teacher where the run trains, clone it, and say how well that went before PPO goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from rich.console import Console
from tqdm import tqdm

from agents.checkpoint import RunFolder, save_policy, write_atomically
from agents.cloning import Cloned, clone
from agents.learner import Learner
from agents.policy import BASELINE, BaselinePolicy, Policy, choose, load
from agents.trained import acting
from agents.trajectories import SUFFIX, Trajectories, check_schema, load_trajectories, save_trajectories
from configs.build import Trial, data_digests, training_batch, trial_env
from configs.schema import Config
from envs.vector import TradingVectorEnv
from evaluation.compare import evaluate
from evaluation.compiled import COMPILED
from evaluation.parity import parity
from sim.strategies import find_strategy

SLOTS = 64  # environments that play the teacher
DATA = f"teacher{SUFFIX}"
REPORT = "cloning.json"


class Teacher(NamedTuple):
    """Whom to clone: what `agents.policy.load` takes, None = nobody that can be played here; and what it did before."""

    spec: str | None
    data: Trajectories | None


def find_teacher(config: Config, env: TradingVectorEnv) -> Teacher | None:
    """The teacher that ``agent.warm_start`` names, None where it names none. Nothing is played.

    A strategy's name, with parameters as in ``quoter?size=5``; the folder of a run; or a data set that another run, or
    a program of one's own, wrote (``.npz``). Raises ValueError or FileNotFoundError where it cannot teach here.
    """
    wanted = config.agent.warm_start
    if wanted is None:
        return None
    _check_settings(config)
    if wanted.endswith(SUFFIX):
        data = load_trajectories(Path(wanted))
        check_schema(wanted, data.facts, env.spec_sheet)
        spec = str(data.facts["teacher"])
        return Teacher(spec if _playable(spec, env) else None, data)
    if wanted.split("?")[0].split("@")[0] in COMPILED:
        raise ValueError(
            f"agent.warm_start = {wanted}: it writes orders of its own, which are no actions of this environment; "
            f"clone a strategy that chooses actions, such as quoter"
        )
    spec = wanted if Path(wanted).is_dir() else BASELINE + wanted.removeprefix(BASELINE)
    _check_acts(load(spec, env.spec_sheet), env)
    return Teacher(spec, None)


def _check_acts(policy: Policy, env: TradingVectorEnv) -> None:
    """Raise ValueError where the observation lacks what ``policy`` reads, or its actions are of another space."""
    space = env.single_action_space
    (actions,) = policy.act(np.zeros((1, len(env.spec_sheet["observation"])), np.float32))
    if isinstance(space, gym.spaces.Box) != (actions.dtype.kind == "f"):
        raise ValueError(
            f"agent.warm_start: the teacher's actions are {actions.dtype}, and this environment takes {space}: choose "
            f"a teacher of its action form, or another env.actions"
        )


def _playable(spec: str, env: TradingVectorEnv) -> bool:
    try:
        load(spec, env.spec_sheet)
    except (ValueError, FileNotFoundError):
        return False
    return True


def _check_settings(config: Config) -> None:
    agent = config.agent
    for name, value in (("steps", agent.warm_start_steps), ("epochs", agent.warm_start_epochs)):
        if not value >= 1:
            raise ValueError(f"agent.warm_start_{name} = {value}: expected at least 1")


def forget_teacher(run: RunFolder) -> None:
    """Remove what a warm start that was killed has left: it is made again."""
    for path in (run.path / DATA, run.path / REPORT, run.policy_path):
        path.unlink(missing_ok=True)


def warm_start(
    config: Config, model: Learner, teacher: Teacher, run: RunFolder, unseen: Trial, console: Console
) -> dict[str, Any]:
    """Record, clone, compare; returns the report. The run's folder gets it, the data set and the cloned policy.

    What stops it is noted in the manifest and goes on to the caller.
    """
    try:
        data = teacher.data
        if data is None:
            assert teacher.spec is not None  # find_teacher
            data = record(config, teacher.spec)
            save_trajectories(data, run.path / DATA)
        cloned = clone(model, data, epochs=config.agent.warm_start_epochs, seed=config.seed)
        save_policy(model, run.policy_path)
        report = {**_origin(config, data), **cloned._asdict(), **_compared(config, model, teacher, unseen)}
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        run.record("interrupted" if stopped else "failed", steps=0, error=f"{type(error).__name__}: {error}")
        raise
    write_atomically(run.path / REPORT, (json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    run.record("running", warm_start=_origin(config, data))
    print_cloning(report, cloned, console)
    return report


def _origin(config: Config, data: Trajectories) -> dict[str, Any]:
    return {
        "warm_start": config.agent.warm_start,
        "teacher": data.facts["teacher"],
        "parameters": data.facts["parameters"],
        "data_digest": data.digest,
        "episodes_recorded": len(data.lengths),
    }


def record(config: Config, spec: str) -> Trajectories:
    """Play the policy ``spec`` on the training scenario, in whole episodes, for ``agent.warm_start_steps`` or more.

    All environments play an episode, then all play another, so that short episodes are not over-represented.
    A choice that the environment refuses sends nothing, so what is kept of it is the hold row.
    """
    env = training_batch(config, num_envs=SLOTS, autoreset_mode=AutoresetMode.DISABLED)
    policy = load(spec, env.spec_sheet, seed=config.seed)
    rounds: list[dict[str, np.ndarray]] = []
    wanted, done = int(config.agent.warm_start_steps), 0
    with tqdm(total=wanted, desc=f"playing {spec}", unit=" steps", unit_scale=True, leave=False) as bar:
        while done < wanted:
            rounds.append(_play(env, policy))
            bar.update(len(rounds[-1]["obs"]))
            done += len(rounds[-1]["obs"])
    env.close()
    arrays = {name: np.concatenate([one[name] for one in rounds]) for name in rounds[0]}
    return Trajectories(facts=_facts(env, policy, spec, config), **{"masks": None, **arrays})  # type: ignore[arg-type]


def _play(env: TradingVectorEnv, policy: Policy) -> dict[str, np.ndarray]:
    """One episode of every environment, as arrays of `Trajectories`."""
    everyone = np.ones(env.num_envs, np.bool_)
    obs, info = env.reset()
    if hasattr(policy, "begin"):
        policy.begin(everyone)
    playing, terminated, slots, steps = everyone, np.zeros(env.num_envs, np.bool_), [], []
    while playing.any():
        mask = info["action_mask"]
        actions = _carried_out(env, choose(policy, obs, mask), mask)
        seen = {"obs": obs[playing], "actions": actions[playing]} | ({"masks": mask[playing]} if mask.size else {})
        obs, reward, over, cut, info = env.step(actions)
        slots.append(np.flatnonzero(playing))
        steps.append({**seen, "rewards": reward[playing].astype(np.float32), "costs": info["costs"][playing]})
        terminated |= over & playing
        playing = playing & ~(over | cut)
    slot = np.concatenate(slots)
    order = np.argsort(slot, kind="stable")  # episode after episode, each in the order of time
    arrays = {name: np.concatenate([step[name] for step in steps])[order] for name in steps[0]}
    return {**arrays, "lengths": np.bincount(slot, minlength=env.num_envs), "terminated": terminated}


def _carried_out(env: TradingVectorEnv, actions: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """``actions``, with hold in the place of rows that cannot be done."""
    if actions.dtype.kind == "f":
        return actions.astype(np.float32)
    hold = next(row for row, listed in enumerate(env.spec_sheet["actions"]) if listed[0] == "hold")
    possible = np.take_along_axis(masks, actions[..., None], -1)[..., 0]
    return np.where(possible, actions, hold)


def _facts(env: TradingVectorEnv, policy: Policy, spec: str, config: Config) -> dict[str, Any]:
    scenario, sheet = env.engine.scenario, env.spec_sheet
    kept = ("observation", "observation_digest", "actions", "action_digest", "costs")
    return {
        "teacher": spec,
        "parameters": _parameters(policy),
        "seed": config.seed,
        **{name: sheet[name] for name in kept},
        "scenario_digest": hashlib.sha256(scenario.rows.tobytes()).hexdigest(),
        "tapes": data_digests(scenario),
    }


def _parameters(policy: Policy) -> dict[str, float]:
    """A baseline's parameters by name; none of a trained policy."""
    if not isinstance(policy, BaselinePolicy):
        return {}
    entries = find_strategy(policy.name).parameters
    return {entry.name: float(value) for entry, value in zip(entries, policy.params, strict=True)}


def _compared(config: Config, model: Learner, teacher: Teacher, unseen: Trial) -> dict[str, Any]:
    """Clone and teacher on worlds that neither has seen, under the fill model of training; ``parity`` of the report.

    None where the teacher of a data set is nobody that can be played here.
    """
    if teacher.spec is None:
        return {"parity": None}
    outcome = evaluate(
        {"clone": lambda sheet: acting(model.policy, sheet["observation"], "clone"), "teacher": teacher.spec},
        trial_env(config.env, unseen, config.evaluation),
        unseen.episodes,
        fill_models=[config.env.fill_model],
        seed=config.evaluation.seed,
    )
    shown = outcome.shown
    compared = parity(shown["clone"], shown["teacher"], seed=config.evaluation.seed)
    return {"judged_on": unseen.title, "fill_model": config.env.fill_model, "parity": compared}


def print_cloning(report: dict[str, Any], cloned: Cloned, console: Console) -> None:
    """The report in a few lines."""
    lines = [
        f"cloned {report['teacher']}: {cloned.rows} steps, best of {cloned.epochs} passes: {cloned.best_epoch}",
        f"  action error {cloned.action_error:.4f} on {cloned.held_out_rows} held-out steps"
        + ("" if cloned.acting_error is None else f", {cloned.acting_error:.4f} where the teacher acts")
        + f"; cross entropy {cloned.cross_entropy:.4f}",
    ]
    compared = report["parity"]
    if compared is None:
        lines.append("  not compared: its teacher cannot be played here")
    else:
        lines += [_paired(name, compared[f"{name}_usd"]) for name in ("result", "drawdown")]
        lines.append(_killed(compared["kill"]))
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _paired(name: str, entry: dict[str, Any]) -> str:
    value, low, high = ("-" if number is None else f"{number:+.3f}" for number in entry["difference"])
    return (
        f"  {name}, $ an episode: clone {entry['clone']:.3f}, teacher {entry['teacher']:.3f}, "
        f"difference {value} [{low}, {high}]"
    )


def _killed(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "  kill rate: not charged in this environment"
    rates = ", ".join(
        f"{who} {100 * entry[who][0]:.2f} % [{100 * entry[who][1]:.2f}, {100 * entry[who][2]:.2f}]"
        for who in ("clone", "teacher")
    )
    verdict = "higher" if entry["higher"] else "not higher"
    return f"  kill rate: {rates}; the clone's is {verdict} (p = {entry['p_higher']:.3f})"
