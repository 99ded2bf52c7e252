"""One training run: learn, write metrics and checkpoints into its folder, and say in the manifest how it ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from agents.callbacks import Checkpoints, ProgressBar, unreachable
from agents.checkpoint import RunFolder, parameters_digest, save_policy
from agents.learner import Learner
from agents.metrics import MetricsWriter, StandardNames, emptied
from agents.resume import load_resume
from agents.tracking.board import FOLDER as TENSORBOARD


def train(
    model: Learner,
    total_steps: int,
    run: RunFolder,
    *,
    save_every: int,
    tensorboard: bool = False,
    resume: bool = False,
    callbacks: Sequence[BaseCallback] = (),
) -> None:
    """Train ``model`` for ``total_steps`` environment steps, rounded up to whole rollouts.

    The folder gets metrics after every update, a checkpoint after every ``save_every`` updates and at the end. A run
    that is interrupted saves where it is; one that fails leaves its last checkpoint, and its error in the manifest.
    The exception goes on to the caller in both cases. With ``resume`` a fresh ``model`` of the same settings goes on
    from the folder's last checkpoint, or starts anew where there is none yet; what the metric files got after it is
    written again. ``callbacks``: of the caller; what they keep from rollout to rollout belongs in ``model.kept``.
    """
    lengths = _go_on(model, run) if resume else {}
    writers: list[KVWriter] = [MetricsWriter(run.path, lengths)]
    if tensorboard:
        writers.append(StandardNames(TensorBoardOutputFormat(str(run.path / TENSORBOARD))))
    model.set_logger(Logger(str(run.path), writers))
    started = time.perf_counter()
    bar = ProgressBar(total_steps, model.num_timesteps)
    checkpoints = Checkpoints(run, save_every)
    checkpoints.init_callback(model)  # type: ignore[arg-type]
    try:
        if total_steps == 0:
            model.stand()  # a clone is judged as it is, but can be gone on with
        if model.num_timesteps < total_steps:
            model.learn(
                total_steps - model.num_timesteps,
                callback=[bar, checkpoints, *callbacks],  # what a checkpoint holds is as before the rollout
                reset_num_timesteps=not resume,
            )
        checkpoints.save()  # also where a run was killed between its last checkpoint and its last policy
    except KeyboardInterrupt:
        if model._n_updates:
            save_policy(model, run.policy_path)
        run.record("interrupted", **_facts(model))
        raise
    except Exception as error:
        run.record("failed", **_facts(model), error=f"{type(error).__name__}: {error}")
        raise
    finally:
        bar.close()
        model.logger.close()
    run.record("finished", **_facts(model), seconds=round(time.perf_counter() - started, 3))


def _facts(model: Learner) -> dict[str, Any]:
    """What the manifest says of a run however it ended."""
    return {
        "steps": model.num_timesteps,
        "policy_digest": parameters_digest(model),
        "device": str(model.network.device),
        "mixed_precision": model.network.mixed,
        "unreachable_budgets": unreachable(model),
    }


def _go_on(model: Learner, run: RunFolder) -> dict[str, int]:
    """Put ``model`` where ``run`` was left; returns the bytes that each metric file keeps."""
    if run.resume_path.is_file() or run.has_trained:
        lengths = load_resume(model, run.resume_path)
    else:
        lengths = emptied(run.path)  # killed before its first checkpoint
    run.manifest.pop("error", None)
    run.record("running")
    return lengths
