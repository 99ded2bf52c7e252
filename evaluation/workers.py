"""Who does jobs that do not depend on each other: this process, several on this machine, or those of a Ray cluster.

`Workers.each` gives results as they are finished. A result must not depend on who did the job, nor when: then it is the
same whoever works. Jobs are started a few ahead of the workers, however many there are. What a job raises ends the
run, with the job's own exception, and what was started is called off.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 4  # jobs started for each worker
TRIES = 3  # of a job whose worker, or its node, died
LOOK_S = 10.0  # how often one looks whether there is anybody left
WAIT_S = 300.0  # for a processor of a cluster, before the run ends


class WorkerDiedError(RuntimeError):
    """A job whose worker, or its node, died while it worked."""


class Workers(ABC):
    """Somebody who works."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many jobs are done at once; it may change, where a cluster grows."""

    @abstractmethod
    def each(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], called: Callable[[Job], str] = str
    ) -> Iterator[tuple[Job, Result]]:
        """Every job with what ``function`` makes of it, in the order in which they are finished.

        Where workers are processes, function, jobs and results must be such that they can be sent there; a cluster is
        sent the function once. A job whose worker died there is done again. Raises what a job raised, and
        WorkerDiedError with what the job is ``called`` after `TRIES` tries.
        """


class Alone(Workers):
    """This process, one job after the other."""

    count = 1

    def each(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], called: Callable[[Job], str] = str
    ) -> Iterator[tuple[Job, Result]]:
        """See `Workers`."""
        return ((job, function(job)) for job in jobs)


class _Elsewhere(Workers):
    """Workers in other processes: a few jobs ahead of them are started, and waited for together."""

    def each(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], called: Callable[[Job], str] = str
    ) -> Iterator[tuple[Job, Result]]:
        """See `Workers`."""
        running: dict[Future[Result], tuple[Job, int]] = {}
        try:
            for job in jobs:
                running[self._start(function, job)] = job, 1
                while len(running) >= AHEAD * self.count:
                    yield from self._finished(function, running, called)
            while running:
                yield from self._finished(function, running, called)
        finally:
            for future in running:
                self._call_off(future)

    def _finished(
        self, function: Callable[[Job], Result], running: dict[Future[Result], tuple[Job, int]],
        called: Callable[[Job], str],
    ) -> Iterator[tuple[Job, Result]]:  # fmt: skip
        """What is finished of ``running``: job and number of the try, from 1. Jobs of dead workers are started anew."""
        while not (done := wait(running, LOOK_S, FIRST_COMPLETED).done):
            self._look()
        for future in done:
            job, tries = running.pop(future)
            try:
                result = self._result(future)
            except WorkerDiedError as error:
                if tries == TRIES:
                    raise WorkerDiedError(f"{called(job)}: {TRIES} workers died of it, the last: {error}") from error
                running[self._start(function, job)] = job, tries + 1
            else:
                yield job, result

    def _look(self) -> None:
        """Called after every `LOOK_S` seconds in which nothing was finished. Raises where nothing ever will be."""

    @abstractmethod
    def _start(self, function: Callable[[Job], Result], job: Job) -> Future[Result]:
        """The job is started."""

    @abstractmethod
    def _result(self, future: Future[Result]) -> Result:
        """What came of a finished job. Raises WorkerDiedError where it is to be done again."""

    @abstractmethod
    def _call_off(self, future: Future[Any]) -> None:
        """Nobody waits for this job any more."""


class Processes(_Elsewhere):
    """``count`` processes on this machine, of one thread each. Use it as a context: they end with it.

    A process that dies ends the run, with BrokenProcessPool.
    """

    count = 0

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"workers = {count}: expected at least 1")
        self.count = count
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _start(self, function: Callable[[Job], Result], job: Job) -> Future[Result]:
        return self._pool.submit(function, job)

    def _result(self, future: Future[Result]) -> Result:
        return future.result()

    def _call_off(self, future: Future[Any]) -> None:
        future.cancel()


class OnRay(_Elsewhere):
    """Ray's workers: as many jobs at once as the cluster has processors. Ray must run already (`agents.cluster`).

    Each is a process of one thread. More jobs than there are processors wait in Ray: an autoscaler sees them. Where no
    processor is free at the beginning, or none is left later, that is said, and after ``wait_s`` seconds an error.
    """

    def __init__(self, wait_s: float = WAIT_S) -> None:
        import ray  # imported where it is used: it takes seconds

        self._ray, self._wait_s, self._looks = ray, wait_s, -1  # -1: nobody has worked yet
        self._remote = ray.remote(num_cpus=1, max_retries=0)(_on_one_thread)
        self._sent: tuple[Callable[..., Any], Any] | None = None  # a function, and where it lies in the object store
        errors = ray.exceptions
        self._died = (
            errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError, errors.OutOfMemoryError,
            errors.ObjectLostError,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """Processors of the cluster as it is now, at least one."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _start(self, function: Callable[[Job], Result], job: Job) -> Future[Result]:
        if self._looks < 0:
            self._find_somebody()
        if self._sent is None or self._sent[0] is not function:
            self._sent = function, self._ray.put(function)
        return self._remote.remote(self._sent[1], job).future()

    def _find_somebody(self) -> None:
        """One job of no work, so that a cluster whose processors others hold is known. Raises RuntimeError."""
        asked = [self._remote.remote(_nothing, None)]
        if not self._ray.wait(asked, timeout=min(LOOK_S, self._wait_s))[0]:
            logging.getLogger(__name__).warning("%s; waiting up to %g s", self._room(), self._wait_s)
            if not self._ray.wait(asked, timeout=max(self._wait_s - LOOK_S, 0.0))[0]:
                raise RuntimeError(f"{self._room()}. Waited {self._wait_s:g} s: add nodes, or wait for other jobs' end")
        self._looks = 0

    def _look(self) -> None:
        """See `_Elsewhere`."""
        gone = self._ray.cluster_resources().get("CPU", 0.0) < 1.0
        self._looks = self._looks + 1 if gone else 0
        if self._looks == 1:
            logging.getLogger(__name__).warning("%s; waiting up to %g s", self._room(), self._wait_s)
        if self._looks * LOOK_S > self._wait_s:
            raise RuntimeError(f"{self._room()}. Waited {self._wait_s:g} s: add nodes")

    def _room(self) -> str:
        total, free = (
            resources.get("CPU", 0.0) for resources in (self._ray.cluster_resources(), self._ray.available_resources())
        )
        return f"workers: jobs want 1 CPU each, and Ray has {total:g}, {free:g} of them free"

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except self._died as error:
            raise WorkerDiedError(str(error).splitlines()[0]) from error
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error

    def _call_off(self, future: Future[Any]) -> None:
        """Nothing: the few that were started end by themselves. Ray 2.60 may abort a driver whose `ray.cancel` meets a
        task that is just ending.
        """


def _nothing(_: object) -> None:
    """Some job."""


def _on_one_thread(function: Callable[[Job], Result], job: Job) -> Result:
    torch.set_num_threads(1)
    return function(job)


def _begin_worker() -> None:
    """One thread, and no life after the parent's: a pool's worker would wait for work for ever."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
