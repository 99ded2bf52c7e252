"""The schema: names, groups, digest, and the page that documents it."""

from pathlib import Path

import numpy as np
import pytest

from envs.features import FEATURES, GROUPS, feature_page, make_schema


def test_52_features_and_34_in_groups_of_their_own():
    sizes = {group: sum(f.group == group for f in FEATURES) for group in GROUPS}
    assert sizes == {
        "book": 25, "time": 6, "portfolio": 11, "orders": 10, "signal": 4, "flow": 3, "anchors": 9, "liquidity": 7,
        "links": 5, "opponents": 3, "fair": 4,
    }  # fmt: skip
    assert sum(sizes[name] for name in ("book", "time", "portfolio", "orders")) == 52
    assert len({f.name for f in FEATURES}) == 87


def test_groups_are_contiguous_and_their_order_does_not_matter():
    assert make_schema().columns == (0, 25, 31, 42, 52, 56, 59, 68, 75, 80, 83)
    assert make_schema(("orders", "book")) == make_schema(("book", "orders"))
    assert make_schema(("time", "orders")).columns == (-1, 0, -1, 6, *[-1] * 7)
    assert make_schema(("signal",)).names == ["signal_live", "signal_edge", "signal_error", "signal_age"]


def test_the_digest_tells_schemas_apart():
    digests = {make_schema(GROUPS[:n]).digest for n in range(1, len(GROUPS) + 1)}
    assert len(digests) == len(GROUPS)
    # a change of any name, formula or range changes it: such a change needs a line in CHANGELOG.md
    assert make_schema().digest.startswith("487b78ed7e64")


@pytest.mark.parametrize("groups", [(), ("book", "books"), ("book", "book"), "book"])
def test_a_wrong_choice_of_groups_names_the_groups(groups):
    with pytest.raises(ValueError, match="expected some of book, time, portfolio, orders, signal"):
        make_schema(groups)


def test_the_page_says_what_the_code_says():
    page = Path(__file__).resolve().parents[2] / "docs" / "features.md"
    assert page.read_text(encoding="utf-8") == feature_page(), "run `python -m envs.features` and commit the page"


def test_ranges_are_within_minus_one_and_one():
    low, high = np.array([(f.low, f.high) for f in FEATURES]).T
    assert set(low) <= {-1.0, 0.0}
    assert set(high) == {1.0}
