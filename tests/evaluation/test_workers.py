"""Jobs in several processes and on Ray: the same results, deaths that change nothing, errors that keep their words.

One Ray and one pool for all of it.
"""

import os
import signal
import sys
from functools import partial

import numpy as np
import pytest
import ray
from test_montecarlo import BOTH, SHORT, bytes_of
from worlds import make_env

from configs.workers import check_workers
from evaluation.adversary import env_player
from evaluation.montecarlo import run as montecarlo
from evaluation.montecarlo.run import Task, run
from evaluation.workers import AHEAD, TRIES, Alone, OnRay, Processes, WorkerDiedError
from sim.scenarios.row import make_rows

pytestmark = pytest.mark.compiled
ROWS = make_rows(3, life_s=20.0, half_spread=np.array([0.002, 0.01, 0.03]), informed_rate=np.array([0.1, 1.0, 3.0]))


@pytest.fixture(scope="module")
def on_ray():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers import these modules
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield OnRay()
    ray.shutdown()


@pytest.fixture(scope="module")
def pool():
    with Processes(2) as workers:
        yield workers


@pytest.fixture(params=["on_ray", "pool"])
def workers(request):
    return request.getfixturevalue(request.param)


def square(folder, number):
    """Notes that it was begun; 5 raises."""
    (folder / f"{number}").touch()
    if number == 5:
        raise ValueError("five is right out")
    return number * number


def kill_its_process(folder, times, number):
    """Where ``number`` is 3, so many times."""
    deaths = len(list(folder.iterdir()))
    if number == 3 and deaths < times:
        (folder / f"{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_every_job_is_done_once_and_few_are_started_ahead(workers, tmp_path):
    function, asked = partial(square, tmp_path), []

    def jobs():
        for number in range(6, 6 + 3 * AHEAD * workers.count):
            asked.append(number)
            yield number

    found = workers.each(function, jobs())
    first = next(found)
    assert first == (first[0], first[0] ** 2) and len(asked) <= AHEAD * workers.count
    assert sorted([first, *found]) == [(number, number**2) for number in asked]
    assert workers.count == 2 and len(asked) == 3 * AHEAD * 2


def test_what_a_job_raises_comes_out_as_it_is_and_ends_the_run(workers, tmp_path):
    with pytest.raises(ValueError, match=r"^five is right out$"):
        list(workers.each(partial(square, tmp_path), range(1000)))
    assert len(list(tmp_path.iterdir())) < 500  # a busy machine may hear of it late


def test_a_job_whose_worker_was_killed_is_done_again(on_ray, tmp_path):
    found = on_ray.each(partial(kill_its_process, tmp_path, TRIES - 1), range(6))
    assert sorted(found) == [(number, number) for number in range(6)]
    assert len(list(tmp_path.iterdir())) == TRIES - 1


def test_a_job_that_kills_whoever_does_it_is_given_up_by_name(on_ray, tmp_path):
    with pytest.raises(WorkerDiedError, match=f"^number 3: {TRIES} workers died of it, the last: The worker died"):
        list(on_ray.each(partial(kill_its_process, tmp_path, 99), range(6), lambda number: f"number {number}"))
    assert len(list(tmp_path.iterdir())) == TRIES


def test_monte_carlo_finds_what_one_process_finds(workers, tmp_path):
    task = Task(BOTH, SHORT, 40, seed=0, shard=16)
    alone, together = (run(task, tmp_path / str(at), workers=at, progress=False) for at in (None, workers))
    assert bytes_of(alone) == bytes_of(together)


def play_or_die(folder, task, place):
    """Plays a shard; whoever is the first to play the third one is killed."""
    if place[-1] == 2 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return montecarlo._play(task, place)


def test_monte_carlo_loses_nothing_with_a_worker(on_ray, tmp_path, monkeypatch):
    task = Task({"joiner": BOTH["joiner"]}, SHORT, 40, seed=0, shard=8)
    alone = run(task, tmp_path / "alone", progress=False)
    monkeypatch.setattr(montecarlo, "_play", partial(play_or_die, tmp_path))
    together = run(task, tmp_path / "killed", workers=on_ray, progress=False)
    assert bytes_of(alone) == bytes_of(together) and (tmp_path / "died").exists()


def make(scenario, num_envs, seed):
    return make_env(num_envs, scenario=scenario, seed=seed)


@pytest.mark.parametrize("spec", ["baseline:joiner", "baseline:random"])
def test_a_generation_scores_alike_whoever_plays_it(workers, spec):
    """180 episodes, of rows that end in the middle of a piece; also where orders are drawn."""
    alone = env_player(spec, make)(ROWS, 60, 3)
    together = env_player(spec, make, workers=workers)(ROWS, 60, 3)
    assert [part.tobytes() for part in alone[:3]] == [part.tobytes() for part in together[:3]]
    assert {name: costs.tobytes() for name, costs in alone.costs.items()} == {
        name: costs.tobytes() for name, costs in together.costs.items()
    }
    assert alone.loss.shape == (3, 60) and len(set(alone.loss.ravel())) > 100


def test_a_policy_that_draws_meets_common_chance():
    """Two candidates of one row: the same draws, the same orders, the same result."""
    twins = env_player("baseline:random", make)(ROWS[[1, 1]], 5, 3)
    assert (twins.loss[0] == twins.loss[1]).all() and len(set(twins.loss[0])) == 5


@ray.remote(num_cpus=2)
class Holder:
    def hold(self):
        return True


def test_processors_that_others_hold_are_not_waited_for_for_ever(on_ray):
    holder = Holder.remote()
    assert ray.get(holder.hold.remote())
    with pytest.raises(RuntimeError, match=r"jobs want 1 CPU each, and Ray has 2, 0 of them free\. Waited 0\.5 s"):
        list(OnRay(wait_s=0.5).each(abs, [-1, -2]))
    ray.kill(holder)
    assert sorted(result for _, result in OnRay().each(abs, [-1, -2])) == [1, 2]


def test_alone_is_lazy(tmp_path):
    found = Alone().each(partial(square, tmp_path), range(4, 6))
    assert next(found) == (4, 16) and [path.name for path in tmp_path.iterdir()] == ["4"]


@pytest.mark.parametrize("wrong", [0, -1, "two", None, 2.5, True])
def test_no_number_of_workers(wrong):
    with pytest.raises(ValueError, match="expected at least 1 process on this machine, or ray"):
        check_workers(wrong)


def test_a_number_of_workers_or_ray():
    assert [check_workers(given) for given in (1, "3", "ray")] == [1, 3, "ray"]
    with pytest.raises(ValueError, match="workers = 0: expected at least 1"):
        Processes(0)
