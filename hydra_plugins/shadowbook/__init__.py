"""What Hydra knows of ``hydra/launcher=ray``, in the one package that it takes plugins of; see `configs.launcher`.

Hydra imports this file before it is in `sys.modules`, where a dataclass with annotations kept as text would look.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class RayLauncherConfig:
    """``hydra.launcher.`` of ``hydra/launcher=ray``."""

    _target_: str = "hydra_plugins.shadowbook.RayLauncher"
    jobs: int | None = None  # most at a time; null = as many as there are processors for
    cpus_per_job: float | None = None  # that Ray sets aside for each; null = its threads. Env runners come on top
    gpus_per_job: float = 0.0  # less than 1: several jobs share one
    retries: int = 2  # of a job whose process or node has died
    cpus: int | None = None  # of a Ray that has to be started; null = all that this process may use


class RayLauncher(Launcher):
    """The jobs of a grid as tasks of Ray."""

    def __init__(
        self, jobs: int | None, cpus_per_job: float | None, gpus_per_job: float, retries: int, cpus: int | None
    ) -> None:
        for name, value, least in (("jobs", jobs, 1), ("retries", retries, 0), ("cpus", cpus, 1)):
            if value is not None and value < least:
                raise ValueError(f"hydra.launcher.{name} = {value}: expected at least {least}")
        if (cpus_per_job is not None and not cpus_per_job > 0.0) or not gpus_per_job >= 0.0:
            raise ValueError(
                f"hydra.launcher: expected cpus_per_job above 0 and gpus_per_job of 0 or more, got {cpus_per_job} and "
                f"{gpus_per_job}"
            )
        self.settings = RayLauncherConfig("", jobs, cpus_per_job, gpus_per_job, retries, cpus)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What Hydra tells a launcher before it launches."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; what became of each, in their order. Raises FileExistsError in another grid's folder."""
        from configs.launcher import Crew  # Hydra imports this file at the start of every program

        return Crew(self.context, self.task, self.config, self.settings).launch(job_overrides, initial_job_idx)


ConfigStore.instance().store(group="hydra/launcher", name="ray", node=RayLauncherConfig, provider="shadowbook")
