"""docs/venues.md says what the data say."""

from __future__ import annotations

import re

import pytest

from sim.venues import VENUES
from sim.venues.page import PAGE, TABLES, filled


def test_the_page_is_made_from_the_data():
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text) == text, "run python -m sim.venues.page"


def test_every_row_of_the_data_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for rules in VENUES.values():
        for kind in rules.orders.kinds:
            assert f"`{kind.name}`" in text
        for item in (*rules.orders.refusals, *rules.orders.updates):
            assert item.when in text
            assert item.wording in text


def test_tables_are_even():
    for make in TABLES.values():
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in make().splitlines()}
        assert len(widths) == 1


def test_a_page_without_a_table():
    with pytest.raises(ValueError, match=r"tables \['kinds'\]; expected each of"):
        filled("<!-- kinds -->\n<!-- end -->")
