"""The verification checklist: is this session what it should be? Pure, so it can be run on line and on paper.

`Statistics` are what the runner counts, `Thresholds` what is accepted, `check` compares them. A share is judged once
there are ``fewest`` of what it is a share of; before that a check says how many there are, and is neither passed nor
failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from live.monitor.view import Check
from live.monitor.words import duration
from sim.types import SECOND_NS

_US_NS = 1_000


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged. Counts are of the time ``span_ns``: the whole session, or the last minutes of it."""

    span_ns: int
    feed_age_ns: int | None = None  # since the venue's last frame of any kind; None = there was none
    lost: tuple[str, ...] = ()  # markets whose book is not known now
    frames: int = 0
    frames_unread: int = 0  # that the reader did not understand
    quotes: int = 0  # best prices that the venue told, compared with the rebuilt books
    quotes_differing: int = 0
    orders: int = 0  # that policies asked for
    orders_cut: int = 0  # of them changed, refused or held by the shield
    messages: int = 0  # to the venue, or to paper: orders, amendments, cancels
    rejects: int = 0  # of them refused
    fills: int = 0
    decisions: int = 0
    fallbacks: int = 0  # of them made without the policy: it failed, was late, or gave what is no action
    latency_p99_ns: int | None = None  # from frame to certified orders
    shortest_life_ns: int | None = None  # of the orders that we took out of the market; an emergency's do not count
    divergence: float | None = None  # 0 to 1, larger = worse, by the runner's measure; None = not measured


def _limit(default: float, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"unit": unit, "meaning": meaning})


@dataclass(kw_only=True)
class Thresholds:
    """What is accepted. Raises ValueError for one that is negative or no number."""

    feed_age: float = _limit(15.0, "seconds", "longest silence of the feed; both venues are heard every 10 s")
    quotes_differing: float = _limit(0.001, "share", "of the best prices told that the rebuilt books contradict")
    orders_cut: float = _limit(0.10, "share", "of the orders asked for that the shield changes or refuses")
    messages_per_fill: float = _limit(200.0, "messages", "for one fill")
    messages_per_second: float = _limit(2.0, "messages a second", "on average")
    frames_unread: float = _limit(0.001, "share", "of frames that cannot be read")
    rejects: float = _limit(0.02, "share", "of messages that the venue refuses")
    fallbacks: float = _limit(0.001, "share", "of decisions made without the policy")
    latency_p99: float = _limit(1000.0, "microseconds", "99th percentile from frame to certified orders")
    shortest_life: float = _limit(1.0, "seconds", "that every order of ours is left in force at least")
    divergence: float = _limit(0.2, "0 to 1", "largest that is accepted")
    fewest: int = _limit(20, "things", "before a share of them is judged")

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not value >= 0:  # NaN included
                raise ValueError(f"thresholds: {one.name} = {value}; expected {one.metadata['unit']}, 0 or more")


def check(found: Statistics, accepted: Thresholds) -> tuple[Check, ...]:
    """The checklist, in the order in which a person should work through it."""
    return (
        _feed(found, accepted),
        _books(found),
        _share(
            "books in agreement", found.quotes_differing, found.quotes, "of the venue's best prices contradicted",
            accepted.quotes_differing, accepted.fewest,
            "Stop trading on it: a message is lost or misread. Keep the recording, validate it with --replay.",
        ),
        _share(
            "frames read", found.frames_unread, found.frames, "of frames not read", accepted.frames_unread,
            accepted.fewest,
            "The venue tells something new. The counts by name say what; the raw log keeps it.",
        ),
        _share(
            "shield quiet", found.orders_cut, found.orders, "of orders cut", accepted.orders_cut, accepted.fewest,
            "The policy wants what limits forbid. Read the reasons beside its proposals: limits of training and of "
            "this session may differ.",
        ),
        *_churn(found, accepted),
        _share(
            "orders accepted", found.rejects, found.messages, "of messages refused", accepted.rejects, accepted.fewest,
            "Read the venue's reasons: tick, cash, rate limit or a closed market. Cash: reconcile the account.",
        ),
        _share(
            "policy decides", found.fallbacks, found.decisions, "of decisions without the policy", accepted.fallbacks,
            accepted.fewest,
            "The policy fails, is late, or gives what is no action. The log names each decision by its trace id.",
        ),
        _latency(found, accepted),
        _life(found, accepted),
        _divergence(found, accepted),
    )  # fmt: skip


def passed(checks: tuple[Check, ...]) -> bool:
    """Whether none of them fails."""
    return not any(one.ok is False for one in checks)


def _feed(found: Statistics, accepted: Thresholds) -> Check:
    age_ns, most_ns = found.feed_age_ns, round(accepted.feed_age * SECOND_NS)
    return Check(
        "feed fresh", age_ns is not None and age_ns <= most_ns,
        "nothing heard yet" if age_ns is None else f"{duration(age_ns)} old", f"at most {duration(most_ns)}",
        "Look at the connection's state: it reconnects by itself. If it does not, look at the venue's status page and "
        "this machine's network.",
    )  # fmt: skip


def _books(found: Statistics) -> Check:
    return Check(
        "books known", not found.lost, f"lost: {', '.join(found.lost)}" if found.lost else "all known", "all known",
        "A lost book is asked for again by itself within 30 s, and no order goes out there meanwhile. If it stays "
        "lost, end the session.",
    )  # fmt: skip


def _share(name: str, part: int, whole: int, of_what: str, most: float, fewest: int, do: str) -> Check:
    wanted = f"at most {_percent(most)}"
    if whole < fewest or not whole:
        return Check(name, None, f"{whole} so far, judged from {max(fewest, 1)}", wanted, do)
    return Check(name, part / whole <= most, f"{_percent(part / whole)} {of_what} ({part:,} of {whole:,})", wanted, do)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _churn(found: Statistics, accepted: Thresholds) -> tuple[Check, Check]:
    """A session without a fill counts as one with one: what has sent much and got nothing churns."""
    per_fill = found.messages / max(found.fills, 1)
    per_second = found.messages * SECOND_NS / found.span_ns if found.span_ns > 0 else 0.0
    advice = "It replaces orders for nothing. Raise the least life of an order or the price change that is worth one."
    return (
        Check(
            "messages for a fill", per_fill <= accepted.messages_per_fill,
            f"{per_fill:,.1f} ({found.messages:,} messages, {found.fills:,} fills)",
            f"at most {accepted.messages_per_fill:,g}", advice,
        ),
        Check(
            "messages a second", per_second <= accepted.messages_per_second, f"{per_second:.2f}",
            f"at most {accepted.messages_per_second:g}", f"{advice} Venues limit the rate, and punish it.",
        ),
    )  # fmt: skip


def _latency(found: Statistics, accepted: Thresholds) -> Check:
    p99_ns, most_ns = found.latency_p99_ns, round(accepted.latency_p99 * _US_NS)
    return Check(
        "latency", None if p99_ns is None else p99_ns <= most_ns,
        "not measured" if p99_ns is None else f"p99 {duration(p99_ns)}", f"at most {duration(most_ns)}",
        "See which stage grew. Another program on this core, a page that many look at, or a log on a slow disk are "
        "the usual ones.",
    )  # fmt: skip


def _life(found: Statistics, accepted: Thresholds) -> Check:
    shortest_ns, least_ns = found.shortest_life_ns, round(accepted.shortest_life * SECOND_NS)
    return Check(
        "in-force times kept", None if shortest_ns is None else shortest_ns >= least_ns,
        "nothing taken out yet" if shortest_ns is None else f"shortest {duration(shortest_ns)}",
        f"at least {duration(least_ns)}",
        "An order was taken out too soon: a defect of the order manager, not of the market. End the session and keep "
        "its log.",
    )  # fmt: skip


def _divergence(found: Statistics, accepted: Thresholds) -> Check:
    value = found.divergence
    return Check(
        "divergence", None if value is None else value <= accepted.divergence,
        "not measured" if value is None else f"{value:.3f}", f"at most {accepted.divergence:g}",
        "What is seen is unlike what it is compared with. Trade on paper only until it is known why.",
    )  # fmt: skip
