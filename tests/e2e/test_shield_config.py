"""Limits in a config: by name or as a mapping, refused with their names where they contradict each other."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from configs.build import make_env
from configs.schema import register, to_config
from envs.shield import PRESETS
from sim.scenarios import synthetic

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
register()


def env_of(*overrides):
    with initialize_config_dir(str(CONFIGS), version_base=None):
        config = to_config(compose("config", list(overrides)))
    return make_env(config.env, synthetic(), num_envs=2)


def test_without_limits_there_is_no_shield():
    assert env_of().limits is None


def test_limits_by_name_and_as_a_mapping():
    assert env_of("env.limits=conservative").limits is PRESETS["conservative"]
    made = env_of("env.limits={preset: small, per_trade: 0.01}", "env.costs=[kill,intervention]")
    assert made.limits.per_trade == 0.01 and made.limits.order_size == PRESETS["small"].order_size
    assert made.spec_sheet["costs"] == ["kill", "intervention"]


@pytest.mark.parametrize(
    "value, said",
    [
        ("reckless", "no preset 'reckless'"),
        ("{per_trad: 0.1}", "no limit 'per_trad'"),
        ("{cash_buffer: 1.5}", "cash_buffer = 1.5 lies outside"),
        ("{per_trade: 0.3}", "per_trade = 0.3 is above per_market = 0.1"),
    ],
)
def test_bad_limits_are_refused_at_start(value, said):
    with pytest.raises(ValueError, match=said):
        env_of(f"env.limits={value}")
