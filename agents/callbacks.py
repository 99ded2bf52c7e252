"""What happens around the updates of a training run: the progress bar and the checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.checkpoint import save_policy


class ProgressBar(BaseCallback):
    """A bar with the speed, the time left and the mean return of the episodes that ended in the last update."""

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self.total_steps = total_steps
        interval = 0.2 if sys.stderr.isatty() else 10.0  # a log file wants few lines
        self.bar = tqdm(total=total_steps, unit=" steps", unit_scale=True, desc="training", mininterval=interval)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        returns = self.model.ended_returns  # type: ignore[attr-defined]
        if returns:
            self.bar.set_postfix_str(f"return {sum(returns) / len(returns):+.2f}", refresh=False)
        self.bar.update(min(self.num_timesteps, self.total_steps) - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it stands; also after an exception."""
        self.bar.close()


class Checkpoints(BaseCallback):
    """Saves the policy after every ``every`` updates, so that a run that stops early leaves its last good state."""

    def __init__(self, path: Path, every: int) -> None:
        super().__init__()
        self.path = path
        self.every = every

    def _on_rollout_start(self) -> None:
        updates = self.model._n_updates
        if updates and updates % self.every == 0:
            save_policy(self.model, self.path)

    def _on_step(self) -> bool:
        return True
