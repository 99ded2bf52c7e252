"""What happens around the updates of a training run: the progress bar, its notices, and the checkpoints."""

from __future__ import annotations

import sys

from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.checkpoint import RunFolder, save_policy
from agents.learner import Learner
from agents.metrics import lengths_of
from agents.multipliers import PATIENCE
from agents.resume import save_resume


class ProgressBar(BaseCallback):
    """A bar with the speed, the time left and the mean return of the episodes that ended in the last update.

    It says once of each budget that its multiplier has stood at its cap: it may be unreachable.
    """

    model: Learner  # type: ignore[assignment]

    def __init__(self, total_steps: int, done: int = 0) -> None:
        super().__init__()
        self.total_steps = total_steps
        interval = 0.2 if sys.stderr.isatty() else 10.0  # a log file wants few lines
        self.bar = tqdm(
            total=total_steps, initial=done, unit=" steps", unit_scale=True, desc="training", mininterval=interval
        )
        self._told: set[str] = set()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        returns = self.model.ended_returns
        if returns:
            self.bar.set_postfix_str(f"return {sum(returns) / len(returns):+.2f}", refresh=False)
        self.bar.update(min(self.num_timesteps, self.total_steps) - self.bar.n)
        for name in unreachable(self.model):
            if name not in self._told:
                self._told.add(name)
                self.bar.write(
                    f"budget may be unreachable: {name}, whose multiplier has stood at its cap for {PATIENCE} updates",
                    file=sys.stderr,
                )

    def close(self) -> None:
        """Leave the bar as it stands; also after an exception."""
        self.bar.close()


def unreachable(model: Learner) -> list[str]:
    """Names of the budgets that may not be reachable; see `Multipliers.unreachable`."""
    return [entry.name for entry, stuck in zip(model.constraints, model.multipliers.unreachable, strict=True) if stuck]


class Checkpoints(BaseCallback):
    """Saves the run at its start, and after every ``every`` updates, so that a killed one can go on from there.

    On an environment without a snapshot only the policy is saved, and the run cannot be resumed.
    """

    model: Learner  # type: ignore[assignment]

    def __init__(self, run: RunFolder, every: int) -> None:
        super().__init__()
        self.run = run
        self.every = every

    def _on_rollout_start(self) -> None:
        if self.model._n_updates % self.every == 0:
            self.save()

    def save(self) -> None:
        """Save what resuming needs, then the policy as it is."""
        if self.model.resumable:
            save_resume(self.model, self.run.resume_path, lengths_of(self.run.path))
        if self.model._n_updates:
            save_policy(self.model, self.run.policy_path)

    def _on_step(self) -> bool:
        return True
