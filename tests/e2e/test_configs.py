"""Every shipped config composes, a key that does not exist is refused by its path, a run's config can be read back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agents.checkpoint import LIBRARIES, git_state
from configs.build import Trial, training_env, training_scenario
from configs.judge import judge, manifest_without_run, policies_of, with_data
from configs.schema import DirectionalConfig, EvaluationConfig, read_run_config, register, to_config, whole_steps
from curricula.lessons import draw, validation
from curricula.phase import ranges_of
from envs.features import GROUPS
from envs.registration import TASKS
from envs.vector import TradingVectorEnv
from sim.links import Exclusive, Nested, Same
from sim.scenarios import Scenario, synthetic
from sim.scenarios.row import default_rows
from sim.scenarios.tables import load_table, rows_of
from sim.tape import FeeRates, Header, Market, seal
from sim.types import EVENT

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FEES = FeeRates("free", "polymarket", 0)
register()


def composed(*overrides, name="config", folder=CONFIGS):
    with initialize_config_dir(str(folder), version_base=None):
        return compose(name, list(overrides))


def config(*overrides, **options):
    return to_config(composed(*overrides, **options))


def choices(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.mark.parametrize("group", ["agent", "env", "scenario"])
def test_every_choice_of_every_group_composes(group):
    for choice in choices(group):
        needed = {"replay": ["scenario.tapes=DIR"], "library": ["scenario.name=reference"]}.get(choice, [])
        assert config(f"{group}={choice}", *needed)


@pytest.mark.parametrize("phase", choices("curriculum"))
def test_every_phase_composes_and_draws_rows(phase):
    made = config(f"+curriculum={phase}")
    assert made.curriculum.name == phase
    for lesson in made.curriculum.phases.values():
        plain = replace(lesson, entries={})
        rows = draw(made.scenario.rows, plain, 64, seed=0)
        assert len(rows) == 64
        for name, wanted in ranges_of(lesson.rows).items():
            low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
            assert rows[name].min() >= low and rows[name].max() <= high
        assert len(set(rows["life_s"])) > 1  # the scenario's own range is still there
        assert len(draw(made.scenario.rows, validation(lesson), 256, seed=1)) == 256
        TradingVectorEnv(1, actions=made.env.actions, sizes=lesson.sizes)
        assert all(group in GROUPS for group in lesson.features or ())


def test_there_is_no_curriculum_unless_asked_for():
    assert config().curriculum is None


def test_the_evaluation_composes():
    made = config("checkpoint=checkpoints/x", "evaluation.baselines=[noop]", name="evaluate")
    assert made.checkpoint == "checkpoints/x" and made.evaluation.baselines == ["noop"]


def test_the_documented_command_line():
    made = config("scenario=replay", "scenario.tapes=DIR", "total_steps=2e6", "seed=3")
    assert (made.scenario.kind, made.scenario.tapes, whole_steps(made), made.seed) == ("replay", "DIR", 2_000_000, 3)


def test_seed_0_is_a_seed():
    first, second = config("seed=0"), config("seed=1")
    assert first.seed == 0
    rows = [draw(made.scenario.rows, None, 8, made.seed) for made in (first, config("seed=0"), second)]
    assert (rows[0] == rows[1]).all() and (rows[0] != rows[2]).any()


@pytest.mark.parametrize(
    "path",
    [
        "totl_steps", "agent.learning_rat", "env.num_envss", "env.window", "scenario.rows.news_rat", "scenario.tape",
        "evaluation.episode", "env.reward.pnll",
    ],
)  # fmt: skip
def test_a_misspelt_override_is_refused_by_its_path(path):
    with pytest.raises(ConfigCompositionException, match=f"Could not override '{path}'"):
        config(f"{path}=1")


def test_a_key_of_another_scenario_is_refused():
    with pytest.raises(HydraException, match=r"scenario\.tapes"):
        config("scenario=synthetic", "scenario.tapes=DIR")


@pytest.mark.parametrize("path", ["scenario.tapes", "agent.gama", "total_step", "scenario.rows.new", "evaluation.x"])
def test_a_plus_does_not_make_a_key(path):
    with pytest.raises(ValueError, match=f"no key {path}; "):
        config("scenario=synthetic", f"+{path}=1")


@pytest.mark.parametrize(
    "group, key", [("agent", "gama"), ("env", "dt"), ("scenario", "rows.news"), ("curriculum/lesson", "row")]
)
def test_a_misspelt_key_inside_a_yaml_file_is_refused_by_its_path(tmp_path, group, key):
    source = {"agent": "ppo", "env": "directional", "scenario": "mix", "curriculum/lesson": "phase1"}[group]
    folder = tmp_path / "configs"
    for file in CONFIGS.rglob("*.yaml"):
        target = folder / file.relative_to(CONFIGS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text())
    content = OmegaConf.load(folder / group / f"{source}.yaml")
    OmegaConf.update(content, key, 1)
    OmegaConf.save(content, folder / group / f"{source}.yaml")
    with pytest.raises((HydraException, OmegaConfBaseException)) as caught:
        config(*(["+curriculum=phase1"] if group == "curriculum/lesson" else []), folder=folder)
    text = f"{caught.value} {caught.value.__cause__}"
    assert key.split(".")[-1] in text and group.split("/")[0] in text


@pytest.mark.parametrize(
    "override, message",
    [
        ("total_steps=2.5", "total_steps = 2.5: expected a whole number of at least 1, such as 2e6"),
        ("total_steps=0", "total_steps = 0.0: expected a whole number"),
        ("num_envs=0", "num_envs = 0: expected at least 1"),
        ("seed=-1", "seed = -1: expected at least 0"),
        ("seed=1000000", "judging on the worlds of training"),
        ("env.events_per_step=10", "a step is one or the other; set one of them to null"),
        ("env.dt_s=null", "a step is one or the other; set one of them to null"),
    ],
)
def test_a_value_that_cannot_be_is_named(override, message):
    with pytest.raises(ValueError, match=message):
        config(override)


@pytest.mark.parametrize("value", ["[1,2,3]", "[2,1]", "abc", "true"])
def test_a_row_range_that_cannot_be_is_named(value):
    made = config(f"scenario.rows.news_rate={value}")
    with pytest.raises(ValueError, match=r"rows\.news_rate = .*: expected a number, or \[low, high\]"):
        ranges_of(made.scenario.rows)


def test_a_row_out_of_bounds_is_named():
    made = config("scenario.rows.news_rate=[0,1000]")
    with pytest.raises(ValueError, match=r"news_rate = .* lies outside"):
        draw(made.scenario.rows, None, 100, seed=0)


def test_hydra_leaves_nothing_behind():
    hydra = composed("hydra.verbose=false").get("hydra")
    assert hydra is None  # not part of the job's config
    with initialize_config_dir(str(CONFIGS), version_base=None):
        whole = compose("config", return_hydra_config=True)
    assert whole.hydra.run.dir == "." and whole.hydra.output_subdir is None
    assert "handlers" not in whole.hydra.job_logging


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["scenario=synthetic", "+curriculum=phase2", "env.window_s=300"],
        ["+curriculum=full", "curriculum.attempts=2"],
        ["scenario=replay", "scenario.tapes=DIR", "env.dt_s=null", "env.events_per_step=20"],
        ["scenario=negrisk4", "env=portfolio"],
        ["scenario=two_venues", "scenario.links=[{kind: same, markets: [1, 0]}]"],
    ],
)
def test_a_runs_config_comes_back_as_it_was(tmp_path, overrides):
    made = composed(*overrides)
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(made))
    assert read_run_config(tmp_path) == to_config(made)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scenario.kind": "dream"}, "scenario.kind = 'dream': expected one of synthetic, replay, mix"),
        ({"agent.gama": 1}, "gama"),
        ({"num_envs": "many"}, "many"),
    ],
)
def test_a_runs_config_that_cannot_be_read_is_named(tmp_path, change, message):
    stored = OmegaConf.create(OmegaConf.to_container(composed()))
    for key, value in change.items():
        OmegaConf.update(stored, key, value)
    OmegaConf.save(stored, tmp_path / "config.yaml")
    with pytest.raises(ValueError, match=rf"config\.yaml: not a config that this version can read: (.|\n)*{message}"):
        read_run_config(tmp_path)


def test_a_scenario_table():
    """Rows of the table in turn, its venue, and what the config says of a field goes first."""
    made = config("scenario=table", "scenario.table=kalshi_weather", "scenario.rows.depth=17", "scenario.row_count=100")
    scenario = training_scenario(made)
    table = rows_of(load_table("kalshi_weather"))
    assert len(scenario.rows) == 100 and scenario.places == (load_table("kalshi_weather").place,)
    assert (scenario.rows["maker_rate"] == np.resize(table["maker_rate"], 100)).all()
    assert set(scenario.rows["depth"]) == {17.0} and set(scenario.rows["signal_rate"]) == {1.0}
    with pytest.raises(ValueError, match=r"scenario\.table = kalshi_weather is of kalshi: leave one out"):
        training_scenario(config("scenario=table", "scenario.table=kalshi_weather", "scenario.venue=nyse"))
    with pytest.raises(ValueError, match="no scenario table 'nowhere'"):
        training_scenario(config("scenario=table", "scenario.table=nowhere"))


def test_a_report_that_is_there_stops_the_judging_before_it_begins(tmp_path):
    (tmp_path / "scorecard.json").write_text("{}")
    what = Trial("nothing", synthetic(), 1, 1)
    with pytest.raises(FileExistsError, match=r"scorecard\.json exists: a report is never overwritten"):
        judge({"agent": "no run"}, DirectionalConfig(), what, EvaluationConfig(), tmp_path, {})


@pytest.mark.parametrize(
    ("name", "venues", "links"),
    [
        ("negrisk4", ["polymarket"] * 4, (Exclusive((0, 1, 2, 3), exhaustive=True, nets=True),)),
        ("two_venues", ["kalshi", "polymarket"], (Same(0, 1),)),
        ("strikes3", ["kalshi"] * 3, (Nested((2, 1, 0)),)),
    ],
)
def test_the_shipped_portfolios(name, venues, links):
    made = config(f"scenario={name}", "env=portfolio", "num_envs=2")
    scenario = training_scenario(made)
    assert [place.venue for place in scenario.places] == venues and scenario.links == links
    env = training_env(made)
    assert env.single_observation_space.shape == (len(venues) * len(env.schema.features),)
    assert env.table.listed[-1] == ["convert", "NO", 0, "cross"]


def test_potentials_grow_by_the_learner_s_discount():
    reward = ["+env.reward.anchor=0.1", "env.dt_s=2", "agent.gamma_per_s=0.9", "num_envs=2", "scenario=synthetic"]
    env = training_env(config(*reward))
    assert env.spec_sheet["rewards"] == ["pnl", "anchor"]
    assert env.core.terms.gamma == pytest.approx(0.81)  # 0.9 ^ 2 s
    assert training_env(config(*reward[2:])).core.terms.gamma == 1.0  # nothing that it would be for


def test_groups_are_added_and_links_may_be_said():
    three, two = "{kind: exclusive, markets: 3, exhaustive: false}", "{kind: complement, venues: [kalshi, polymarket]}"
    scenario = training_scenario(config("scenario=negrisk4", f"scenario.groups=[{three}, {two}, {{kind: single}}]"))
    assert [place.venue for place in scenario.places] == ["kalshi"] * 4 + ["polymarket", "kalshi"]
    assert scenario.links == (Exclusive((0, 1, 2), exhaustive=False), Exclusive((3, 4)))
    links = "[{kind: nested, markets: [2, 1]}, {kind: same, markets: [0, 1]}, {kind: exclusive, markets: [0, 2]}]"
    with pytest.raises(ValueError, match="may pay"):  # strikes: each of these promises more than they pay
        training_scenario(config("scenario=strikes3", f"scenario.links={links}"))
    assert training_scenario(config("scenario=strikes3", "scenario.links=[]")).links == ()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scenario.groups=[]", "scenario.groups: expected at least one group"),
        ("scenario.groups=[{kind: pair}]", r"scenario\.groups\[0\]\.kind = 'pair': expected one of exclusive, nested"),
        (
            "scenario.groups=[{kind: same}]",
            r"groups\[0\]\.venues = \['kalshi'\]: same takes 2 or more, one for each of its markets, not 1",
        ),
        (
            "scenario.groups=[{kind: nested, venues: [kalshi, polymarket]}]",
            r"groups\[0\]\.venues = .*: nested takes 1, where all of its markets lie, not 2",
        ),
        (
            "scenario.groups=[{kind: complement, venues: [kalshi, polymarket, kalshi]}]",
            r"groups\[0\]\.venues = .*: complement takes 1 for both of its markets, or 2, one for each, not 3",
        ),
        ("scenario.groups=[{kind: single, venues: [nyse]}]", "no venue 'nyse'"),
        ("scenario.links=[{kind: equal, markets: [0, 1]}]", r"scenario\.links\[0\]\.kind = 'equal'"),
        ("scenario.links=[{kind: same, markets: [0, 1, 2]}]", "same is said of two markets"),
        ("scenario.links=[{kind: same, markets: [0, 9]}]", "9"),
    ],
)
def test_a_portfolio_that_cannot_be_is_named(override, message):
    with pytest.raises(ValueError, match=message):
        training_scenario(config("scenario=negrisk4", override))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "groups=[{kind: same, venues: [kalshi, polymarket], markets: 5}]",
            r"scenario\.groups\[0\]\.markets = 5: same takes venues; it has a market for each of its venues: list 5",
        ),
        ("groups=[{kind: single, markets: 4}]", r"groups\[0\]\.markets = 4: single takes venues; .*: write 4 groups"),
        (
            "groups=[{kind: complement, markets: 3}]",
            r"groups\[0\]\.markets = 3: complement takes venues; it is always 2",
        ),
        (
            "groups=[{kind: single}, {kind: nested, nets: true}]",
            r"scenario\.groups\[1\]\.nets = True: nested takes markets, venues; only an exclusive set",
        ),
        (
            "groups=[{kind: nested, exhaustive: false}]",
            r"groups\[0\]\.exhaustive = False: nested takes markets, venues",
        ),
        ("groups=[{kind: complement, nets: false}]", r"groups\[0\]\.nets = False: complement takes venues"),
        (
            "links=[{kind: nested, markets: [0, 1], nets: true}]",
            r"scenario\.links\[0\]\.nets = True: nested takes markets",
        ),
        (
            "links=[{kind: same, markets: [0, 1], exhaustive: true}]",
            r"links\[0\]\.exhaustive = True: same takes markets",
        ),
    ],
)
def test_a_key_that_the_kind_does_not_take_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        training_scenario(config("scenario=negrisk4", f"scenario.{entry}"))


def test_a_run_is_judged_beside_five_baselines_unless_others_are_named():
    five = ["agent", "noop", "random", "imbalance", "signal", "quoter"]
    assert list(policies_of(Path("x"), config("checkpoint=x", name="evaluate").evaluation.baselines)) == five
    assert list(policies_of(Path("x"), config().evaluation.baselines)) == five
    assert list(policies_of(Path("x"), [])) == ["agent"]


def test_a_report_without_a_run_says_what_program_and_which_data():
    header = Header("polymarket", (Market("M", "a market", 0, 1),), (((0, 10_000, 100),),), (FEES,), ())
    tapes = tuple(seal(np.zeros(count, EVENT), header) for count in (0, 1))
    what = Trial("two", Scenario(default_rows(), tapes=tapes, names=("A", "B"), replay_share=1.0), 2, 2)
    manifest = with_data(manifest_without_run("policies: [noop]", "2026-01-02T03:04:05", CONFIGS.parent), what)
    assert manifest["git"] == git_state(CONFIGS.parent) and len(manifest["git"]["commit"]) == 40
    assert manifest["data"] == {"judged": {name: one.header.digest for name, one in zip("AB", tapes, strict=True)}}
    assert set(manifest["versions"]) == set(LIBRARIES)
    assert len(set(manifest["data"]["judged"].values())) == 2
    assert (manifest["config"], manifest["date"]) == ("policies: [noop]", "2026-01-02T03:04:05")


def test_baselines_are_judged_without_a_run():
    made = config("scenario=negrisk4", "policies=[arbitrageur,noop]", "env=portfolio", name="evaluate")
    assert made.policies == ["arbitrageur", "noop"] and made.scenario.kind == "portfolio" and made.checkpoint is None
    assert made.env.actions == "portfolio"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "expected one of them: a run folder, or baselines"),
        (["checkpoint=x", "policies=[noop]"], "expected one of them"),
        (["policies=[noop]"], "add scenario=NAME, or tapes=DIR"),
        (["checkpoint=x", "env=portfolio"], "env is the run's own"),
        (["policies=[noop]", "scenario=negrisk4", "tapes=DIR"], "leave one of them out"),
        (
            ["policies=[noop]", "scenario=negrisk4", "evaluation.baselines=[signal]"],
            r"evaluation\.baselines = \['signal'\] stand beside a run, .* add them to policies = \['noop'\]",
        ),
        (
            ["policies=[noop]", "scenario=negrisk4", "evaluation.baselines=[noop,random,imbalance,signal,quoter]"],
            "evaluation.baselines",
        ),
    ],
)
def test_an_evaluation_that_says_too_little_or_too_much_is_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        config(*overrides, name="evaluate")


@pytest.mark.parametrize(("choice", "name"), [("market_making", "MarketMaking"), ("execution", "Execution")])
def test_a_task_is_the_same_by_config_and_by_id(choice, name):
    made, settings = config(f"env={choice}").env, TASKS[f"shadowbook/{name}-v0"]
    for key, value in settings.items():
        found = getattr(made, key)
        assert (tuple(found) if isinstance(found, list) else found) == value, key
    assert made.cash == DirectionalConfig().cash and made.dt_s == 1.0


def test_the_quoting_task_trains_on_a_surface():
    env = training_env(config("env=market_making", "scenario=quoting", "num_envs=2"))
    assert env.spec_sheet["action_form"] == "surface" and env.action_space.shape == (2, 5)
    assert (env.engine.scenario.rows["life_s"] > 300.0).all()
