"""Every entry of the library does what its meaning says, beside the reference market on the same chance."""

import pytest
from library_probe import measured

from curricula.entries import entry_names

EFFECTS = {  # of the figures m of an entry and r of the reference; see library_probe
    "basis": lambda m, r: m["gap"] > 1.0 and m["open"] == 1.0,
    "basis_outages": lambda m, r: m["gap"] > 1.0 and 0.7 < m["open"] < 0.95,
    "cancel_storm": lambda m, r: m["left"] < 0.7 * r["left"] and m["touch"] < 0.5 * r["touch"],
    "cascades": lambda m, r: m["move"] > 2 * r["move"] and m["spread95"] > 2 * r["spread95"],
    "depth_shocks": lambda m, r: m["touch10"] < 0.4 * r["touch10"] and m["touch"] > 0.3 * r["touch"],
    "depth_thin": lambda m, r: m["depth"] < 0.1 * r["depth"] and m["touch"] < 0.3 * r["touch"],
    "early_close": lambda m, r: m["closed"] > 0.4 and r["closed"] == 0.0,
    "fee_changes": lambda m, r: m["fees_seen"] == 2.0 and m["fee"] > r["fee"],
    "inventory_long": lambda m, r: m["held"] == 200.0 and r["held"] == 0.0,
    "inventory_shock": lambda m, r: m["held"] == 500.0 and m["touch"] < 0.4 * r["touch"] and m["move_top"] > 15.0,
    "latency_spikes": lambda m, r: m["wait"] < 0.5 and m["wait_top"] > 2.0,
    "maker_fees": lambda m, r: m["fee"] > 0.0 == r["fee"],
    "news_jumps": lambda m, r: (
        m["calm"] < 0.7 * r["calm"] and m["move_top"] > 3 * r["move_top"] and 0.0 < m["jump_share"] < 0.006
    ),
    "opponents": lambda m, r: m["taken_spread"] > 2 * r["taken_spread"] and m["spread"] < 1.1 * r["spread"],
    "outages_orders_stay": lambda m, r: m["open"] < 0.9 and m["gain"] < 0.8 * r["gain"],
    "partial_fills": lambda m, r: m["pieces"] > 1.3 * r["pieces"] and m["piece"] < 0.6 * r["piece"],
    "rate_limited": lambda m, r: m["refused"] > 1000 > r["refused"] and m["quoted"] < 0.5 * r["quoted"],
    "slow_venue": lambda m, r: m["wait_low"] > 1.2 and m["wait"] < 3.5 and m["bad"] > 1.5 * r["bad"],
    "spread_shocks": lambda m, r: m["spread95"] > 3 * r["spread95"],
    "spread_wide": lambda m, r: 3 * r["spread"] < m["spread"] < 12.0,
    "stale_feed": lambda m, r: 0.05 < m["stale"] < 0.4,
    "tick_changes": lambda m, r: m["grids_seen"] == 2.0 and m["spread"] < r["spread"],
    "toxic_crypto": lambda m, r: m["bad"] > 3 * r["bad"] and m["gain"] < 0.0 < r["gain"],
    "toxic_flow": lambda m, r: m["bad"] > 3 * r["bad"] and m["gain"] < 0.0 < r["gain"],
    "venue_outages": lambda m, r: 0.6 < m["open"] < 0.9 and m["refused"] > 0,
    "void_settlements": lambda m, r: 0.2 < m["void"] < 0.55 and r["void"] == 0.0,
    "volatility_high": lambda m, r: m["move"] > 4 * r["move"],
    "volatility_low": lambda m, r: m["move"] < 0.4 * r["move"],
    "weather_quiet": lambda m, r: m["move"] < 0.3 * r["move"] and m["depth"] < 0.2 * r["depth"],
}


def test_every_entry_has_an_effect_to_show():
    assert set(EFFECTS) == set(entry_names()) - {"reference"}


@pytest.mark.compiled
@pytest.mark.parametrize("name", EFFECTS)
def test_an_entry_does_what_it_says(name):
    found, reference = measured(name), measured("reference")
    assert EFFECTS[name](found, reference), {key: (value, reference[key]) for key, value in found.items()}
