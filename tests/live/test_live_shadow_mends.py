"""What a replay says of a session that is not all there; how long orders are left, and whose fills are compared."""

from collections import deque
from types import SimpleNamespace

import msgspec
import pytest

import shadow as entry
from envs.shield.codes import CRITICAL, NORMAL
from envs.vector import TradingVectorEnv
from live.orders.caps import TRADING
from live.orders.journal import Intent
from live.orders.requests import FillSaid
from live.recording.folder import segment_paths
from live.recording.rotation import Rotation
from live.recording.seal import seal
from live.shadow.divergence import FillsCompared, Gate
from live.shadow.mirror import Mirror
from live.shadow.replay import replay
from live.shadow.tally import Tally
from live.shadow.trading import RealHands
from sim.types import BID, GTC, YES
from tests.live.beside import T0, Beside
from tests.live.parity import tell
from tests.live.shadowed import Drawn, Shadowed, make_env
from tests.live.test_live_shadow_trading import record_of


@pytest.fixture
def ended(tmp_path):
    """A session in segments that came to its end, and says so."""
    rotation = Rotation(segment_bytes=4_000, batch_bytes=2_000)
    shadowed = Shadowed(tmp_path, tell("kalshi", 1, 20.0), [Drawn(1)], rotation=rotation)
    shadowed.play()
    summary = shadowed.folder / "summary.json"
    summary.write_bytes(msgspec.json.encode({"session": "s", "decisions": len(shadowed.kept)}))
    assert len(segment_paths(shadowed.folder)) >= 3
    return shadowed


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def test_a_session_that_is_all_there_is_the_same(ended):
    seal(ended.folder)
    found = replay(ended.folder, make_env)
    assert found.decisions == len(ended.kept) and found.differ == found.notes == []


def test_segments_that_are_missing_at_the_end_are_fewer_decisions(ended):
    for path in segment_paths(ended.folder)[1:]:
        path.unlink()
    found = replay(ended.folder, make_env)
    assert found.differ[-1] == f"{found.decisions} decisions in the log; summary.json says {len(ended.kept)}"
    assert found.decisions < len(ended.kept)


def test_segments_that_were_sealed_and_are_missing_or_shorter_are_found(ended):
    (ended.folder / "summary.json").unlink()
    manifest = seal(ended.folder)
    first, second, *others = segment_paths(ended.folder)
    for path in others:
        path.unlink()
    sizes = second.stat().st_size, second.stat().st_size // 2
    cut(second, 0.5)
    found = replay(ended.folder, make_env)
    assert found.differ == [
        f"{second.resolve()}: {sizes[1]:,} bytes; it was sealed with {sizes[0]:,}",
        *[f"{path.resolve()}: is missing; it was sealed with {segment.records:,} records"
          for path, segment in zip(others, manifest.segments[2:], strict=True)],
    ]  # fmt: skip
    assert first.is_file()


def test_a_torn_end_is_a_difference_of_a_session_that_ended_and_a_note_of_one_that_was_killed(ended):
    last = segment_paths(ended.folder)[-1]
    cut(last, 0.999)
    torn = f"{last.resolve()}: its end is torn: "
    found = replay(ended.folder, make_env)
    assert found.differ[0].startswith(torn) and found.notes == []
    (ended.folder / "summary.json").unlink()
    found = replay(ended.folder, make_env)
    assert found.differ == [] and found.decisions and [line.startswith(torn) for line in found.notes] == [True]


def test_a_log_without_a_decision_proves_nothing(ended):
    (ended.folder / "summary.json").unlink()
    first, *others = segment_paths(ended.folder)
    for path in others:
        path.unlink()
    cut(first, 0.1)
    found = replay(ended.folder, make_env)
    assert found.decisions == 0 and found.differ == [f"{ended.folder}: no decision in its log"]


def test_the_entry_point_fails_for_a_session_that_was_cut_off(monkeypatch, tmp_path, capsys):
    beside = Beside(monkeypatch, tmp_path, "checkpoint=baseline:imbalance", "minutes=0.1")
    beside.run()
    assert entry._replay(str(beside.folder)) == 0
    cut(segment_paths(beside.folder)[-1], 0.7)
    assert entry._replay(str(beside.folder)) == 1
    assert "summary.json says" in capsys.readouterr().out


# A real account's fills, and how long its orders are left


class Real:
    """A real account beside an engine of one account; moments are milliseconds."""

    def __init__(self, tmp_path, least_fills=1):
        env = TradingVectorEnv(1, limits="balanced")
        env.reset()
        self.env, self.mirror, self.record = env, Mirror(env.engine, 0), record_of(tmp_path, ["A"])
        self.manager = SimpleNamespace(record=self.record, mode=TRADING)
        orders = SimpleNamespace(manager=self.manager, fills=deque())
        self.record.fills = orders.fills
        self.compared = FillsCompared(Gate(least_fills=least_fills))
        self.hands = RealHands(SimpleNamespace(orders=orders), self.compared)
        self.tally = Tally(SimpleNamespace(session=SimpleNamespace(env=env), seats=[1]))

    def rest(self):
        order = self.record.intend(Intent("A", BID, YES, 5_000, 1_000, GTC, 0, True, False, T0))
        self.record.name(order, f"v{order.number}")
        order.say("resting", 0, 1_000)
        return order

    def fill(self, order_id, ticker="A", side=BID, qty=1_000):
        self.record.fill(FillSaid(f"f{order_id}", order_id, ticker, side, 5_000, qty, 0, True, T0), T0, "channel")
        self.record.commit()

    def decide(self, ms, *, cancel=False, regime=NORMAL):
        self.mirror.show(self.hands.image(self.mirror))
        account = SimpleNamespace(why=0, equity_uusd=0, regime=regime)
        certified = SimpleNamespace(orders=self.env.sent, reason=self.env.sent["qty"], held=self.env.sent["qty"] > 0)
        self.env.sent["qty"] = 0
        spent = SimpleNamespace(total=0)
        decision = SimpleNamespace(ns=T0 + ms * 1_000_000, cancel=cancel, accounts=[account])
        self.tally.add(SimpleNamespace(decision=decision, certified=certified, spent=spent), self.hands.lives)
        return self.tally.shortest_life_ns[0]


def test_a_quick_fill_at_the_venue_is_no_order_that_was_taken_out(tmp_path):
    real = Real(tmp_path)
    order = real.rest()
    assert real.decide(100) is None
    real.fill(order.order_id)
    assert real.decide(300) is None and real.hands.fills == 1 and real.hands.lives.filled == {order.number + 1}


def test_a_fill_that_is_owed_is_one(tmp_path):
    real = Real(tmp_path)
    order = real.rest()
    real.decide(100)
    order.say("executed", 1_000, 0)  # the order's channel was first
    real.record.changed(order, T0)
    assert order.owed == 1_000 and real.decide(300) is None


def test_an_order_that_was_taken_out_at_the_venue_is_measured(tmp_path):
    real = Real(tmp_path)
    order = real.rest()
    real.decide(100)
    order.say("canceled", 0, 0)
    real.record.changed(order, T0)
    assert real.decide(300) == 300_000_000


@pytest.mark.parametrize("how", [{"cancel": True}, {"regime": CRITICAL}, {"mode": "killed"}])
def test_what_an_emergency_takes_out_is_not_measured(tmp_path, how):
    real = Real(tmp_path)
    early, late = real.rest(), real.rest()
    real.decide(100)
    real.manager.mode = how.pop("mode", TRADING)
    early.say("canceled", 0, 0)
    real.record.changed(early, T0)
    assert real.decide(300, **how) is None
    real.manager.mode = TRADING
    assert real.decide(350) is None  # it is still there, its cancel is on its way
    late.say("canceled", 0, 0)
    real.record.changed(late, T0)
    assert real.decide(400) is None
    after = real.rest()
    real.decide(500)
    after.say("canceled", 0, 0)
    real.record.changed(after, T0)
    assert real.decide(600) == 600_000_000


def test_fills_that_are_not_ours_or_of_another_market_are_not_compared(tmp_path):
    real = Real(tmp_path)
    order = real.rest()
    real.fill("somebody-elses")
    real.fill("somebody-elses-too", ticker="ELSE")
    real.decide(100)
    assert real.compared.apart is None and real.hands.fills == 0
    real.fill(order.order_id)
    assert real.hands.fills == 1
    real.compared.add(live=False, market=0, side=BID, px=4_990, lots=1_000)
    real.decide(200)
    assert real.compared.apart == (0.0, 10.0) and real.hands.fills == 1
