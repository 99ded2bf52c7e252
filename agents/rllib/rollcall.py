"""Which env runners answer: before a run begins all of them, later whoever lives.

RLlib's own ways wait without limit for env runners that a cluster has no room for, at the start and again at the end,
and half a minute in every iteration for one that died and cannot come back yet.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import ray
from ray.rllib.utils.actor_manager import FaultTolerantActorManager

STARTED, ALIVE = "started", "alive"  # names of the questions
POLL_S, PAUSE_S = 1.0, 0.1  # of one look while there is nothing else to do; between two, where errors come at once
PATIENT_S = 10.0  # before anything is said


def _answer(runner: Any) -> None:
    runner.assert_healthy()


class RollCall:
    """Of ``runners`` of ``cpus`` each; nobody is waited for longer than ``wait_s`` seconds."""

    def __init__(self, manager: FaultTolerantActorManager, runners: int, cpus: float, wait_s: float) -> None:
        self.manager, self.runners, self.cpus, self.wait_s = manager, runners, cpus, wait_s

    def first(self) -> None:
        """Wait for all of them to start.

        Raises what one of them raised, and RuntimeError after ``wait_s`` with what was asked for and what there is.
        """
        self.manager.foreach_actor_async(_answer, tag=STARTED)
        here: set[int] = set()
        wait = _Wait(self.wait_s)
        while len(here) < self.runners:
            for result in self.manager.fetch_ready_async_reqs(tags=STARTED, timeout_seconds=POLL_S):
                if not result.ok:
                    raise result.get()
                here.add(result.actor_id)
            if len(here) < self.runners:
                missing = f"{self.runners - len(here)} of {self.runners} env runners have not started"
                wait.check(f"{missing}; they {self._room()}")

    def again(self) -> list[int]:
        """Take back who has come back, and say who; nobody is waited for, unless there is no other.

        Raises RuntimeError where no env runner answers for ``wait_s``.
        """
        back = self._ask(0.0)
        wait = _Wait(self.wait_s)
        while not self.manager.num_healthy_actors():
            back = self._ask(POLL_S)
            if not back:
                wait.check(f"none of {self.runners} env runners is left; those that would come back {self._room()}")
        return back

    def dismiss(self) -> None:
        """End all of them, also those that never started."""
        self.manager.clear()

    def _ask(self, timeout_s: float) -> list[int]:
        """Numbers of those that were missing and answer; a question that is under way is not asked again."""
        missing = set(self.manager.actor_ids()) - set(self.manager.healthy_actor_ids())
        if not missing:
            return []
        states = self.manager._remote_actor_states
        asked = [number for number in sorted(missing) if not states[number].get_num_in_flight_requests(ALIVE)]
        if asked:
            self.manager.foreach_actor_async(_answer, tag=ALIVE, healthy_only=False, remote_actor_ids=asked)
        found = self.manager.fetch_ready_async_reqs(tags=ALIVE, timeout_seconds=timeout_s, mark_healthy=True)
        return [result.actor_id for result in found if result.ok]

    def _room(self) -> str:
        total, free = (resources.get("CPU", 0.0) for resources in (ray.cluster_resources(), ray.available_resources()))
        nodes = sum(node["Alive"] for node in ray.nodes())
        return f"want {self.cpus:g} CPU each, and Ray has {total:g} CPU on {nodes} nodes, {free:g} of them free"


class _Wait:
    """Up to ``limit_s`` seconds from now; says once what is waited for."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s, self.began, self.said = limit_s, time.perf_counter(), False

    def check(self, what: str) -> None:
        """Call again and again. Raises RuntimeError with ``what`` once the time is over."""
        seconds = time.perf_counter() - self.began
        if seconds > self.limit_s:
            raise RuntimeError(
                f"{what}. Waited {self.limit_s:g} s: ask for less (trainer.num_env_runners, "
                "trainer.num_cpus_per_env_runner), add nodes, or wait longer for them (trainer.wait_s)"
            )
        if seconds > PATIENT_S and not self.said:
            logging.getLogger(__name__).warning("%s; waiting up to %g s", what, self.limit_s)
            self.said = True
        time.sleep(PAUSE_S)
