"""Fault scripts and kills, few of them; ``python -m benchmarks order_faults`` and ``order_kill`` go on."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import order_faults, order_kill
from live.orders.ledger import Ledger

SCRIPTS = 8


def test_after_random_faults_everything_is_as_the_venue_says():
    result = order_faults.measure(SCRIPTS, 1_000, seed=1)
    assert result["scripts"] == SCRIPTS and result["messages"] >= SCRIPTS * 1_000
    for name in ("placed", "guarded", "fills", "recoveries", "crashes", "reconnects", "unanswered", "others"):
        assert result[name] > 0, name


@pytest.mark.parametrize("what", ["twice", "lost", "cash"])
def test_the_proof_notices(monkeypatch, what):
    true_fill, true_correct = Ledger.fill, Ledger.correct
    count = iter(range(10**6))

    def fill(self, one):
        number = next(count)
        if what == "lost" and number % 5 == 3 and not self.knows(one.key):
            self.before(one.key)
            return True
        counted = true_fill(self, one)
        if what == "twice" and number % 5 == 3 and counted:
            self.holding(one.ticker).add(self.holding(one.ticker).facts[-1]._replace(key=f"again {number}"))
        return counted

    def correct(self, key, ns, ticker, lots, uusd):
        true_correct(self, key, ns, ticker, lots, uusd + (what == "cash" and not ticker))

    monkeypatch.setattr(Ledger, "fill", fill)
    monkeypatch.setattr(Ledger, "correct", correct)
    with pytest.raises(AssertionError, match="script"):
        order_faults.measure(5, 1_000, seed=1)


def test_killed_managers_lose_nothing_that_was_acknowledged(tmp_path):
    result = asyncio.run(order_kill.measure(3, seed=1, folder=tmp_path))
    assert result["kills"] == 3
    assert result["orders"] >= result["acknowledged"] >= 3
    assert result["fills"] >= result["fills_told"]
