"""Limits that contradict each other are refused; how limits are read, and that each says what it is."""

from dataclasses import fields, replace

import pytest

from envs.shield import PRESETS, Limits, read_limits


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"cash_buffer": 1.2}, "cash_buffer = 1.2 lies outside"),
        ({"cash_buffer": 0.995}, "cash_buffer = 0.995 leaves less cash than one order may lose, per_trade = 0.01"),
        ({"per_trade": 0.2}, "per_trade = 0.2 is above per_market = 0.1"),
        ({"per_event": 0.6}, "per_event = 0.6 is above gross = 0.5"),
        ({"net": 0.6}, "net = 0.6 is above gross = 0.5"),
        ({"min_price": 0.6, "max_price": 0.5}, "min_price = 0.6 and max_price = 0.5 leave no price"),
        ({"drawdown_warning": 0.06}, "drawdown_warning = 0.06 is above drawdown_critical = 0.05"),
        ({"marked_loss_warning": 0.06}, "marked_loss_warning = 0.06 is above marked_loss_critical = 0.05"),
        ({"stale_critical": 5.0}, "stale_warning = 60.0 is above stale_critical = 5.0"),
        ({"per_trade": float("nan")}, "per_trade = nan: expected a number"),
        ({"self_cross": 1}, "self_cross = 1: expected yes or no"),
        ({"per_trade": "much"}, "per_trade = 'much': expected a number"),
        ({"messages": 2.5}, "messages = 2.5: expected a whole number"),
        ({"order_size": 0.0}, "order_size = 0.0 lies outside"),
    ],
)
def test_limits_that_contradict_each_other_are_refused_with_names_and_values(changes, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        replace(Limits(), **changes)


def test_limits_are_read_from_names_and_mappings():
    assert read_limits(None) is None
    assert read_limits("small") is PRESETS["small"]
    assert read_limits({"preset": "small", "per_trade": 0.01}) == replace(PRESETS["small"], per_trade=0.01)
    assert read_limits({"gross": 0.4}) == replace(Limits(), gross=0.4)
    with pytest.raises(ValueError, match="no preset 'reckless'; the presets are conservative, balanced"):
        read_limits("reckless")
    with pytest.raises(ValueError, match="no limit 'per_trad'; there are preset, per_trade"):
        read_limits({"per_trad": 0.1})
    with pytest.raises(ValueError, match="expected a preset"):
        read_limits(5)


def test_every_limit_says_its_unit_and_meaning():
    assert all(entry.metadata["unit"] and entry.metadata["meaning"] for entry in fields(Limits))
