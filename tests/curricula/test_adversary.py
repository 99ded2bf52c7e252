"""Searching, minimising and keeping failures: on functions whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from curricula.adversary import (
    SEARCHERS,
    Axis,
    append_case,
    deepen,
    hunt,
    load_cases,
    load_space,
    make_case,
    make_searcher,
    minimise,
    space_names,
)
from curricula.adversary.searchers import _SEEDS, _generator
from curricula.adversary.space import make_space
from sim.scenarios.row import FIELDS, default_rows, make_rows

CORNER = np.array([0.9, 0.2, 0.95, 0.7])  # of the bump below


def bump(points, generation=0):
    """A smooth hill of height 0 at CORNER."""
    return -((points - CORNER) ** 2).sum(axis=1)


@pytest.mark.parametrize("name, near", [("cem", 0.02), ("cmaes", 0.02)])
@pytest.mark.parametrize("seed", range(3))
def test_a_search_climbs_to_the_top_of_a_hill_and_random_search_does_not(name, near, seed):
    """A ball of radius 0.02 in four dimensions has the volume pi^2 / 2 x 0.02^4 = 8e-7: a million points of random."""
    found = hunt(make_searcher(name, 4, seed), bump, lambda point: True, -(near**2), 4000)
    assert found.point is not None and np.abs(found.point - CORNER).max() <= near
    assert found.evaluations < 4000
    assert hunt(make_searcher("random", 4, seed), bump, lambda point: True, -(near**2), 4000).point is None


@pytest.mark.parametrize("name", SEARCHERS)
def test_points_stay_in_the_cube_and_do_not_depend_on_the_order_they_are_told_in(name):
    one, other, random = make_searcher(name, 4, 3), make_searcher(name, 4, 3), np.random.default_rng(0)
    for _ in range(8):
        points = one.ask()
        assert (other.ask() == points).all() and ((points >= 0) & (points <= 1)).all()
        scores = np.round(bump(points), 2)  # with ties
        order = random.permutation(len(points))
        one.tell(points, scores)
        other.tell(points[order], scores[order])


def test_a_restart_of_cma_es_draws_its_place_and_its_seed_apart():
    """One stream for both made the seed follow from the first coordinate."""
    searcher = make_searcher("cmaes", 1, 5)
    place = _generator(5, 1).random()
    assert int(_generator(5, 1, _SEEDS).integers(2**31)) != int(_generator(5, 1).integers(2**31))
    means, seeds = [], []
    begin = searcher._begin

    def kept(mean):
        means.append(float(mean[0]))
        begin(mean)
        seeds.append(searcher.started_with)

    searcher._begin = kept
    while not means:
        points = searcher.ask()
        searcher.tell(points, -np.abs(points[:, 0] - 0.3))
    assert means == [place] and seeds == [int(_generator(5, 1, _SEEDS).integers(2**31))]


def test_equal_scores_teach_the_cross_entropy_method_nothing():
    searcher = make_searcher("cem", 3)
    for _ in range(5):
        points = searcher.ask()
        searcher.tell(points, np.zeros(len(points)))
    assert searcher.mean == pytest.approx(0.5) and searcher.variance == pytest.approx(1 / 12)


def test_the_cross_entropy_step_by_hand():
    """Elite of 5 points: the best max(2, 20 %) = 2, at 0.8 and 0.6. Mean 0.7 x 0.7 + 0.3 x 0.5 = 0.64; their variance
    is 0.01, so 0.7 x 0.01 + 0.3 / 12 = 0.032. Then a + b = 0.64 x 0.36 / 0.032 - 1 = 6.2."""
    searcher = SEARCHERS["cem"](1, 0, 5)
    searcher.tell(np.array([[0.1], [0.8], [0.2], [0.6], [0.3]]), np.array([0.0, 9.0, 1.0, 8.0, 2.0]))
    assert searcher.mean[0] == pytest.approx(0.64) and searcher.variance[0] == pytest.approx(0.032)
    for _ in range(50):
        searcher.tell(np.full((5, 1), 0.999), np.arange(5.0))
    assert searcher.mean[0] == 0.99 and searcher.variance[0] == pytest.approx(0.05**2)  # ends and floor


@pytest.mark.parametrize("name", SEARCHERS)
def test_what_is_no_score_is_refused(name):
    searcher = make_searcher(name, 2)
    points = searcher.ask()
    for scores in (np.full(len(points), np.nan), np.zeros(len(points) + 1)):
        with pytest.raises(ValueError, match="finite scores"):
            searcher.tell(points, scores)


def test_a_hunt_counts_points_one_by_one_and_looks_twice():
    """Points above 0.5: the 3rd is beyond the threshold and not confirmed, the 5th is."""

    class Fixed:
        size = 5
        told = 0

        def ask(self):
            return np.array([[0.1], [0.2], [0.6], [0.3], [0.9]])

        def tell(self, points, scores):
            Fixed.told += 1

    found = hunt(Fixed(), lambda p, g: p[:, 0], lambda point: point[0] > 0.8, 0.5, 100)
    assert (found.point.tolist(), found.evaluations, found.rejected, found.best) == ([0.9], 5, 1, 0.9)
    assert Fixed.told == 1  # of the generation in which it was found: going on starts from there
    none = hunt(Fixed(), lambda p, g: p[:, 0], lambda point: False, 0.5, 12)
    assert (none.point, none.evaluations, none.rejected, Fixed.told) == (
        None,
        12,
        4,
        3,
    )  # 5 + 5 + 2 of a third, which is not told; 2 + 2 + 0 of them beyond


def test_going_on_behind_a_failure_finds_a_worse_one_and_never_a_better():
    searcher, seen = make_searcher("cem", 4, 1), []
    found = hunt(searcher, bump, lambda point: True, -0.5, 4000)

    def numbered(points, generation):
        seen.append(generation)
        return bump(points)

    worse = deepen(searcher, numbered, lambda point: bump(point[None])[0], found.point, found.generations, 8)
    assert bump(worse[None])[0] > -0.05 > bump(found.point[None])[0]
    assert seen == list(range(found.generations, found.generations + 8))
    top = deepen(searcher, bump, lambda point: bump(point[None])[0], CORNER, 0, 3)
    assert top is CORNER


def test_each_generation_has_a_number():
    seen = []
    hunt(make_searcher("cem", 2), lambda p, g: seen.append(g) or bump(np.hstack([p, p])), lambda p: True, 9.0, 120)
    assert seen == [0, 1, 2]


AXES = {
    "cascade_rate": Axis("cascade_rate", 0.0, 0.1),
    "noise_size": Axis("noise_size", 5.0, 100.0, "log"),
    "depth": Axis("depth", 20.0, 600.0, "log"),
}
DEFAULTS = {name: FIELDS[name].default for name in AXES}  # 0, 20, 150


def test_a_minimal_failure_still_fails_and_holds_no_field_too_many():
    """It fails where cascade_rate >= 0.02 and depth <= 60: noise_size goes, the others move up to where it begins."""

    def fails(values):
        return values.get("cascade_rate", 0.0) >= 0.02 and values.get("depth", 150.0) <= 60.0

    given = {"cascade_rate": 0.09, "noise_size": 90.0, "depth": 25.0}
    least = minimise(given, DEFAULTS, AXES, fails)
    assert set(least.values) == {"cascade_rate", "depth"} and fails(least.values)
    assert 0.02 <= least.values["cascade_rate"] < 0.02 + 0.09 / 2**4 + 1e-3
    assert 25.0 < least.values["depth"] <= 60.0
    assert least.trials < 25
    for name in least.values:
        assert not fails({other: value for other, value in least.values.items() if other != name})


def test_a_field_that_only_another_needs_goes_in_a_second_pass():
    """noise_size, nearest to its default, can be spared only once cascade_rate is gone, which is looked at later."""

    def fails(values):
        return "depth" in values and ("noise_size" in values or "cascade_rate" not in values)

    least = minimise({"cascade_rate": 0.09, "noise_size": 22.0, "depth": 25.0}, DEFAULTS, AXES, fails)
    assert set(least.values) == {"depth"}


@pytest.mark.parametrize("seed", range(20))
def test_minimising_keeps_the_failure_and_never_adds_fields_whatever_fails(seed):
    """Failures that are as irregular as can be: a random subset of all roundings of the values fails."""
    random = np.random.default_rng(seed)
    given = {name: float(axis.value(random.random())) for name, axis in AXES.items()}
    memory = {}

    def fails(values):
        key = tuple(sorted(values.items()))
        return memory.setdefault(key, bool(values == given or random.random() < 0.4))

    least = minimise(given, DEFAULTS, AXES, fails)
    assert fails(least.values) and set(least.values) <= set(given)
    for name, value in least.values.items():
        assert AXES[name].low <= value <= AXES[name].high


def test_what_does_not_fail_cannot_be_minimised():
    with pytest.raises(ValueError, match="no failure to begin with"):
        minimise({"depth": 30.0}, DEFAULTS, AXES, lambda values: False)
    with pytest.raises(ValueError, match="no default or axis for nope"):
        minimise({"nope": 30.0}, DEFAULTS, AXES, lambda values: True)


def a_case(**changes):
    entries = {
        "policy": "baseline:joiner", "found": "2026-01-31", "score": "loss", "threshold": 2.0, "value": 3.25,
        "episodes": 64, "seed": 7, "venue": "polymarket", "fill_model": "queue", "what": 'a "loss"',
        "values": {"life_s": 60.0, "cascade_rate": 0.03}, "env": {"cash": 700.0, "window_s": "Infinity"},
    }  # fmt: skip
    return make_case("joiner", **{**entries, **changes})


def test_the_table_only_grows_and_holds_nothing_twice(tmp_path):
    path = tmp_path / "new" / "failures.toml"
    assert load_cases(path) == ()
    assert append_case(a_case(), path)
    before = path.read_bytes()
    assert not append_case(a_case(), path)
    assert not append_case(a_case(policy="baseline:quoter", value=9.0), path)  # the same trap, another victim
    assert path.read_bytes() == before
    assert append_case(a_case(values={"life_s": 61.0}), path)
    assert path.read_bytes().startswith(before)
    assert load_cases(path) == (a_case(), a_case(values={"life_s": 61.0}))
    assert [file.name for file in path.parent.iterdir()] == ["failures.toml"]  # no litter
    assert load_cases(path)[0].row() == make_rows(1, life_s=60.0, cascade_rate=0.03)


def test_an_interrupted_write_leaves_the_table_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "failures.toml"
    append_case(a_case(), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        append_case(a_case(seed=8), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("threshold = 2.0", "threshold = 20.0", "a case is never changed"),
        ("value = 0.03", "value = 0.04", "a case is never changed"),
        ("cascade_rate =", "cascade_rat =", "no field 'cascade_rat'"),
        ("value = 0.03", "value = 11.0", "lies outside"),
        ("version = 2", "version = 1", "this program reads version 2"),
        ("seed = 7\n", "", "no 'seed'"),
        ("cash = 700.0", "cash = 800.0", "a case is never changed"),
        ("env = {", "environment = {", "no 'env'"),
        ("[[row]]", "[[row", "expected TOML"),
    ],
)
def test_a_table_that_was_changed_is_refused(tmp_path, old, new, message):
    path = tmp_path / "failures.toml"
    append_case(a_case(), path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        load_cases(path)


def test_the_table_that_ships_can_be_read_and_its_rows_are_those_that_were_found():
    """Whoever changes a default changes the rows of these cases: look at them, and find them anew."""
    cases = load_cases()
    assert cases and not any(case.changed for case in cases)
    assert all({"cash", "dt_s", "kill_drawdown"} <= set(case.env) for case in cases)


def test_a_default_that_changes_is_noticed(monkeypatch):
    case = a_case()
    assert not case.changed

    def other(count=1, **values):
        return make_rows(count, **({"depth": 9.0} | values))

    monkeypatch.setattr("curricula.adversary.failures.make_rows", other)
    assert case.changed


def test_coordinates_go_there_and_back():
    axis = AXES["noise_size"]
    assert axis.value(0.5) == pytest.approx(np.sqrt(500.0))  # the geometric middle of 5 and 100
    assert axis.value(np.array([0.0, 1.0])).tolist() == [5.0, 100.0]
    assert axis.unit(float(axis.value(0.3))) == pytest.approx(0.3) and axis.unit(1.0) == 0.0


@pytest.mark.parametrize("name", space_names())
def test_every_corner_of_the_spaces_that_ship_is_a_row(name):
    space = load_space(name, make_rows(1, life_s=90.0))
    corners = np.random.default_rng(0).integers(0, 2, (64, space.dimension)).astype(np.float64)
    rows = space.rows(corners)
    assert (rows["life_s"] == 90.0).all() and len(rows) == 64
    assert space.row(space.values(corners[0])) == rows[0]


@pytest.mark.parametrize(
    "axes, message",
    [
        ((), "one axis or more"),
        ((Axis("depth", 20.0, 30.0), Axis("depth", 20.0, 30.0)), "each of another field"),
        ((Axis("nope", 0.0, 1.0),), "no field 'nope'"),
        ((Axis("depth", 30.0, 20.0),), "low < high within"),
        ((Axis("cascade_rate", 0.0, 11.0),), "low < high within"),
        ((Axis("cascade_rate", 0.0, 0.1, "log"),), "'log' above 0"),
    ],
)
def test_what_is_no_space_is_explained(axes, message):
    with pytest.raises(ValueError, match=message):
        make_space("x", axes)


def test_wrong_use_is_explained(tmp_path):
    with pytest.raises(ValueError, match="no searcher 'nope'"):
        make_searcher("nope", 2)
    with pytest.raises(ValueError, match="no space 'nope'"):
        load_space("nope")
    (tmp_path / "x.toml").write_text("title = 'x'\n[fields]\ndepth = {low = 20.0}\n")
    with pytest.raises(ValueError, match="expected a title, and"):
        load_space(tmp_path / "x.toml")
    with pytest.raises(ValueError, match="budget of at least one"):
        hunt(make_searcher("cem", 2), bump, lambda point: True, 0.0, 0)
    with pytest.raises(ValueError, match=r"expected points \(n, 3\) in \[0, 1\]"):
        make_space("x", tuple(AXES.values()), default_rows()).rows(np.full((2, 3), 1.5))
