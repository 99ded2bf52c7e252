"""Action tables, masks and decoding, on states made by hand."""

import numpy as np
import pytest
from hand import CENTS, cent_rules, empty_state, hold, quote, random_state, rest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.actions import TABLES, check_actions, make_table
from envs.decode import decode, write_masks
from sim.types import (
    ASK,
    BID,
    CLOSED,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    GTC,
    INTENT,
    IOC,
    NO,
    PX_ONE,
    REJECT_CASH,
    REJECT_MARKET_CLOSED,
    REJECT_NO_QUOTE,
    REJECT_NONE,
    REJECT_NOTHING_TO_REDUCE,
    REJECT_SIZE,
    UUSD,
    YES,
)
from sim.venues.fees import fee_bound


def run(state, table, actions, rules=None):
    """Intents (N, 2) and rejects (N,) of one action an environment."""
    count = len(state.account)
    intents, rejects = np.zeros((count, 1, 2), INTENT), np.zeros(count, np.int32)
    rules = rules or cent_rules()
    decode(rules, state.account, state.pool, state.market, table.rows, 0, count, np.asarray(actions), intents, rejects)
    return intents[:, 0], rejects


def one(state, row, rules=None, cross_ticks=2):
    """Both intents and the reason of environment 0 choosing the row."""
    table = make_table([["hold", "YES", 0, "cross"], row], cross_ticks=cross_ticks)
    intents, rejects = run(state, table, [1], rules)
    return intents[0], rejects[0]


def masks(state, table, rules=None):
    out = np.zeros((len(state.account), len(table.listed)), np.bool_)
    write_masks(
        rules or cent_rules(),
        state.pool,
        state.market,
        table.rows,
        np.ones(len(out), np.bool_),
        0,
        len(out),
        out,
    )
    return out


def busy():
    """Bid 48 x 60, ask 51 x 20; 30 YES and 12 NO held."""
    state = empty_state()
    quote(state, 0, {48: 60, 47: 100}, {51: 20, 52: 100})
    hold(state, 0, yes=30, no=12)
    return state


def test_the_shipped_tables():
    assert [len(TABLES[name]) for name in ("taker21", "maker21", "full", "portfolio")] == [21, 21, 44, 46]
    taker = make_table("taker21")
    assert taker.listed[0] == ["hold", "YES", 0, "cross"]
    assert {row[3] for row in taker.listed} == {"cross"}
    assert {row[3] for row in make_table("maker21").listed[1:]} == {"passive"}
    assert sorted({row[2] for row in taker.listed[1:]}) == [5, 10, 25, 50, 100]
    assert len({tuple(row) for row in make_table("full").listed}) == 44


def test_the_digest_tells_tables_and_reach_apart():
    digests = {make_table(name).digest for name in TABLES} | {make_table("taker21", cross_ticks=3).digest}
    assert len(digests) == 6
    assert make_table(make_table("full").listed).digest == make_table("full").digest


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("taker", "no action table 'taker'; the tables are taker21, maker21, full, portfolio"),
        ([["hold", "YES", 0, "cross"], ["by", "YES", 5, "cross"]], "row 1: verb 'by' is not one of hold, buy"),
        ([["hold", "YES", 0, "cross"], ["buy", "MAYBE", 5, "cross"]], "row 1: leg 'MAYBE' is not one of YES, NO"),
        ([["hold", "YES", 0, "cross"], ["buy", "BOTH", 5, "cross"]], "row 1: leg BOTH goes with cancel and merge only"),
        (
            [["hold", "YES", 0, "cross"], ["merge", "YES", 0, "cross"]],
            "row 1: merge goes with leg BOTH only, not with YES",
        ),
        ([["hold", "YES", 0, "cross"], ["convert", "YES", 0, "cross"]], "row 1: convert goes with leg NO only"),
        ([["hold", "YES", 0, "cross"], ["convert", "NO", 5, "cross"]], "row 1: convert with 5 contracts"),
        ([["hold", "YES", 0, "cross"], ["buy", "YES", 0, "cross"]], "row 1: buy with 0 contracts"),
        ([["hold", "YES", 0, "cross"], ["buy", "YES", 5]], "row 1: expected .verb, leg, contracts, style."),
        ([["hold", "YES", 0, "cross"], ["buy", "YES", 0.005, "cross"]], "row 1: 0.005 contracts is not a whole"),
        ([["hold", "YES", 0, "cross"]] * 2, "row 1: the same as row 0"),
        ([["buy", "YES", 5, "cross"]], "expected a row with verb hold"),
    ],
)
def test_a_wrong_table_names_the_row(rows, message):
    with pytest.raises(ValueError, match=message):
        make_table(rows)


# In YES space: who buys YES or sells NO stands on the bid side. Bid 48, ask 51; two ticks past the quote: 53 and 46.
@pytest.mark.parametrize(
    ("row", "side", "cents", "qty", "leg"),
    [
        (["buy", "YES", 25, "cross"], BID, 53, 2500, YES),
        (["buy", "NO", 25, "cross"], ASK, 46, 2500, NO),
        (["sell", "YES", 25, "cross"], ASK, 46, 2500, YES),
        (["sell", "NO", 25, "cross"], BID, 53, 1200, NO),  # 12 held
        (["buy", "YES", 25, "passive"], BID, 48, 2500, YES),
        (["buy", "NO", 25, "passive"], ASK, 51, 2500, NO),
        (["sell", "YES", 50, "passive"], ASK, 51, 3000, YES),  # 30 held
        (["sell", "NO", 5, "passive"], BID, 48, 500, NO),
    ],
)
def test_every_kind_of_row_decodes_to_one_order(row, side, cents, qty, leg):
    intents, reason = one(busy(), row)
    assert reason == REJECT_NONE
    order, other = intents[side], intents[1 - side]
    assert other["do"] == DO_NOTHING
    assert order["do"] == DO_PLACE
    assert (order["px"], order["qty"], order["leg"]) == (cents * 100, qty, leg)
    crosses = row[3] == "cross"
    assert (order["tif"], order["post_only"]) == ((IOC, 0) if crosses else (GTC, 1))
    assert order["budget_uusd"] == 0


def test_hold_and_cancel():
    state = busy()
    assert (one(state, ["cancel", "YES", 0, "passive"])[0]["do"] == DO_NOTHING).all()  # nothing rests
    rest(state, 0, 0, BID, 48, 10)
    rest(state, 0, 1, ASK, 51, 10, leg=NO)
    for leg, done in (
        ("YES", (DO_CANCEL, DO_NOTHING)),
        ("NO", (DO_NOTHING, DO_CANCEL)),
        ("BOTH", (DO_CANCEL, DO_CANCEL)),
    ):
        intents, reason = one(state, ["cancel", leg, 0, "passive"])
        assert tuple(intents["do"]) == done
        assert reason == REJECT_NONE
    intents, rejects = run(state, make_table("full"), [0])
    assert (intents["do"] == DO_NOTHING).all()
    assert rejects[0] == REJECT_NONE


def test_a_cancel_with_nothing_to_take_back_is_refused_and_masked():
    state = busy()
    table = make_table("full")
    rest(state, 0, 0, BID, 48, 10)
    state.orders[0, 0]["leaving"] = 1  # its cancel is on its way already
    assert not masks(state, table)[0, -3:].any()
    assert one(state, ["cancel", "BOTH", 0, "passive"])[1] == REJECT_NOTHING_TO_REDUCE


def test_the_limit_stops_at_the_last_legal_price():
    state = empty_state()
    quote(state, 0, {1: 60}, {98: 20})
    buy, _ = one(state, ["buy", "YES", 5, "cross"])
    sell, _ = one(state, ["buy", "NO", 5, "cross"])
    assert buy[BID]["px"] == 9900  # 98 + 1 cent, not + 2
    assert sell[ASK]["px"] == 100


def test_the_limit_walks_the_tick_table_not_the_ladder():
    # the ladder has whole cents, orders may use every fifth: 5, 10, ... 95 cents
    rules = cent_rules(legal=CENTS[4::5])
    state = busy()  # ask 51: up to 55, then two steps of five; bid 48: down to 45, then two
    assert one(state, ["buy", "YES", 5, "cross"], rules)[0][BID]["px"] == 6500
    assert one(state, ["buy", "NO", 5, "cross"], rules)[0][ASK]["px"] == 3500
    assert one(state, ["buy", "YES", 5, "passive"], rules)[0][BID]["px"] == 4500  # joins behind, never in front
    assert one(state, ["buy", "NO", 5, "passive"], rules)[0][ASK]["px"] == 5500
    assert one(state, ["buy", "YES", 5, "cross"], cent_rules(cross_ticks=0))[0][BID]["px"] == 5100


def test_reasons():
    state = empty_state()
    quote(state, 0, {48: 60}, {})
    assert one(state, ["buy", "YES", 5, "cross"])[1] == REJECT_NO_QUOTE  # nobody asks
    assert one(state, ["buy", "YES", 5, "passive"])[1] == REJECT_NONE  # but somebody bids
    assert one(state, ["sell", "YES", 5, "cross"])[1] == REJECT_NOTHING_TO_REDUCE
    state.pool["min_qty"] = 1000
    assert one(state, ["buy", "NO", 5, "cross"])[1] == REJECT_SIZE
    hold(state, 0, yes=5)
    assert one(state, ["sell", "YES", 50, "cross"])[1] == REJECT_SIZE  # 5 held, 10 is the smallest order
    state.market[0]["status"] = CLOSED
    intents, reason = one(state, ["buy", "NO", 50, "cross"])
    assert reason == REJECT_MARKET_CLOSED
    assert (intents["do"] == DO_NOTHING).all()


def test_a_finished_episode_sends_nothing_and_is_refused_nothing():
    state = empty_state()
    state.account["done"] = 1
    intents, reason = one(state, ["buy", "YES", 5, "cross"])
    assert reason == REJECT_NONE
    assert (intents["do"] == DO_NOTHING).all()


def test_cash_to_the_micro_dollar():
    state = busy()
    # 100 YES at a limit of 53 cents: 53 dollars and the fee bound over [0, 53 cents]
    rules = cent_rules()
    need = 5300 * 10_000 + fee_bound(rules.fees, 0, 0, 5300, 10_000, False)
    state.pool["cash_uusd"] = need
    assert one(state, ["buy", "YES", 100, "cross"])[1] == REJECT_NONE
    state.pool["cash_uusd"] = need - 1
    assert one(state, ["buy", "YES", 100, "cross"])[1] == REJECT_CASH
    # 100 NO at a limit of 46 cents lock 54 cents each; a maker pays no fee here
    state.pool["cash_uusd"] = 54 * UUSD
    assert one(state, ["buy", "NO", 100, "cross"])[1] == REJECT_CASH
    state.pool["cash_uusd"] = 49 * UUSD  # joining the ask at 51 locks 49 cents each
    assert one(state, ["buy", "NO", 100, "passive"])[1] == REJECT_NONE
    state.pool["cash_uusd"] -= 1
    assert one(state, ["buy", "NO", 100, "passive"])[1] == REJECT_CASH


def test_what_a_new_order_replaces_counts_as_free():
    state = busy()
    state.pool["cash_uusd"] = 30 * UUSD
    rest(state, 0, 0, BID, 47, 50)  # locks 23.50
    row = ["buy", "YES", 50, "passive"]  # needs 24.00, free are 6.50 and what the replaced order locks
    assert one(state, row)[1] == REJECT_NONE
    assert one(state, row, cent_rules(cancels_first=False))[1] == REJECT_CASH
    assert one(state, ["buy", "NO", 50, "passive"])[1] == REJECT_CASH  # the other side replaces nothing
    rest(state, 0, 1, ASK, 52, 30, leg=YES, reduce=1)  # all 30 YES are promised
    assert one(state, ["sell", "YES", 25, "passive"])[0][ASK]["qty"] == 2500
    assert one(state, ["sell", "YES", 25, "passive"], cent_rules(cancels_first=False))[1] == REJECT_NOTHING_TO_REDUCE


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(TABLES)))
def test_the_mask_is_true_where_the_decoder_sends_and_nowhere_else(seed, name):
    rng = np.random.default_rng(seed)
    state = random_state(12, seed)
    state.pool["cash_uusd"] = rng.integers(0, 120 * UUSD, (12, 1))  # often too little
    state.pool["cash_uusd"] += state.pool["reserved_uusd"]
    state.pool["min_qty"] = rng.choice([1, 500, 1000], (12, 1))
    state.market["status"] = rng.choice([1, 1, 1, CLOSED], 12)
    table = make_table(name)
    mask = masks(state, table)
    assert mask[:, 0].all()  # hold
    for row in range(len(table.listed)):
        intents, rejects = run(state, table, np.full(12, row))
        np.testing.assert_array_equal(mask[:, row], rejects == REJECT_NONE)
        sent = (intents["do"] != DO_NOTHING).any(axis=1)
        np.testing.assert_array_equal(sent, mask[:, row] & (row > 0))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_laws_of_what_is_sent(seed):
    rng = np.random.default_rng(seed)
    state = random_state(32, seed)
    table = make_table("full")
    actions = rng.integers(0, len(table.listed), 32)
    intents, _ = run(state, table, actions)
    for env in range(32):
        verb, leg, contracts, style = table.listed[actions[env]]
        placed = [side for side in (BID, ASK) if intents[env, side]["do"] == DO_PLACE]
        assert len(placed) <= 1
        for side in placed:
            order, position = intents[env, side], state.position[env]
            assert 0 < order["px"] < PX_ONE
            assert order["px"] % 100 == 0
            assert 0 < order["qty"] <= contracts * 100
            held = position["yes_qty"] if leg == "YES" else position["no_qty"]
            assert order["qty"] <= held or verb == "buy"
            best = state.market[env]["best_ask" if side == BID else "best_bid"]
            if style == "passive" and 0 <= best < len(CENTS):
                assert order["px"] != CENTS[best]  # post-only would be refused


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 21], "environment 1 chose 21; the table has rows 0 to 20"),
        ([-1, 0], "environment 0 chose -1"),
        ([0.0, 1.0], "expected 2 integers, shape .2,., got float64"),
        ([0], "expected 2 integers"),
        ([np.nan, 0], "expected 2 integers"),
    ],
)
def test_a_wrong_action_names_environment_and_value(actions, message):
    with pytest.raises(ValueError, match=message):
        check_actions(np.array(actions), (2,), 21)


def test_kernels_are_compiled_once():
    table = make_table("full")
    for count in (1, 5):
        state = random_state(count, 0)
        masks(state, table)
        run(state, table, np.zeros(count, np.int64))
    for compiled in (decode, write_masks):
        assert len(getattr(compiled, "signatures", [0])) == 1
