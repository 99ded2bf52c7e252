"""The proof of the shield runs, and can fail."""

from benchmarks import shield


def test_no_order_limit_is_broken_and_certifying_again_changes_nothing():
    found = shield.prove(40_000)
    assert found["intents"] >= 40_000
    assert found["violations"] == 0 and found["not_idempotent"] == 0
    assert found["orders_let_through"] > 1_000
    assert min(found["by_regime"].values()) > 1_000


def test_the_checker_sees_what_is_let_through_unchecked(monkeypatch):
    monkeypatch.setattr(shield, "_certify_all", lambda *_: None)
    assert shield.prove(20_000)["violations"] > 1_000
