"""How much may be sent: tiny caps that grow while budgets hold, budgets whose breach ends trading, and the kill switch.

    trading ──breach──> baseline ──lift──> trading          breach: everything is cancelled, the caps fall to the first
       └──────kill────> killed   ──lift──> trading          kill: everything is cancelled and refused

A baseline or a kill outlives the process: both are in the journal until a person lifts them.
"""

from __future__ import annotations

import json
from collections import deque

import msgspec

from live.orders.journal import Journal
from sim.types import SECOND_NS, UUSD

TRADING, BASELINE, KILLED = "trading", "baseline", "killed"
_DAY_NS = 86_400 * SECOND_NS
_HOUR_NS = 3_600 * SECOND_NS
_MINUTE_NS = 60 * SECOND_NS
_LONGEST_NS = 10 * SECOND_NS  # between two looks at the account that counts as watched
_FEWEST = 10  # answers before their share of rejects says anything


class Caps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be sent at first. Money is what the account may lose by it: price, and a bound of the fee."""

    order_uusd: int = 5 * UUSD  # one order
    risk_uusd: int = 20 * UUSD  # all positions and orders in the manager's markets
    orders_per_s: int = 1  # new orders in any second
    doublings: int = 2  # how often money and rate may double
    grow_h: float = 24.0  # hours within all budgets before they do


class Budgets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ends trading."""

    daily_loss_uusd: int = 5 * UUSD  # of equity since 0:00 UTC
    drawdown_uusd: int = 10 * UUSD  # of equity below its highest
    difference_uusd: int = 10_000  # between venue and ledger, cash and contracts at a dollar each together
    reject_share: float = 0.5  # of the last `reject_window` orders, by the venue
    reject_window: int = 20


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits, said again by whoever switches real orders on. Nothing has a default."""

    account: str
    order_uusd: int
    risk_uusd: int
    largest_order_uusd: int  # after all doublings
    largest_risk_uusd: int
    daily_loss_uusd: int
    drawdown_uusd: int


class Permit:
    """Leave to send orders for an account: made by :func:`permit` alone."""

    def __init__(self, account: str, caps: Caps, budgets: Budgets, token: object) -> None:
        if token is not _TOKEN:
            raise TypeError("a Permit is made by live.orders.caps.permit, which asks for a confirmation of the limits")
        self.account, self.caps, self.budgets = account, caps, budgets


_TOKEN = object()


def permit(
    account: str, caps: Caps, budgets: Budgets, *, enabled: bool = False, confirmation: Confirmation | None = None
) -> Permit:
    """Leave to send orders.

    Raises PermissionError where real orders are not enabled, or their limits are not confirmed as they are; ValueError
    for limits that are none.
    """
    if enabled is not True:
        raise PermissionError("real orders are off; live.enabled=true switches them on, with a confirmation of limits")
    if min(caps.order_uusd, caps.risk_uusd, caps.orders_per_s) <= 0 or caps.doublings < 0 or caps.grow_h <= 0:
        raise ValueError(f"{caps}; expected amounts, rate and hours above 0, and no negative number of doublings")
    if min(budgets.daily_loss_uusd, budgets.drawdown_uusd) <= 0 or not 0 < budgets.reject_share <= 1:
        raise ValueError(f"{budgets}; expected losses above 0 and a share of rejects in (0, 1]")
    largest = 1 << caps.doublings
    expected = Confirmation(
        account=account, order_uusd=caps.order_uusd, risk_uusd=caps.risk_uusd,
        largest_order_uusd=largest * caps.order_uusd, largest_risk_uusd=largest * caps.risk_uusd,
        daily_loss_uusd=budgets.daily_loss_uusd, drawdown_uusd=budgets.drawdown_uusd,
    )  # fmt: skip
    if confirmation != expected:
        raise PermissionError(f"limits are not confirmed: got {confirmation}; expected, word for word, {expected}")
    return Permit(account, caps, budgets, _TOKEN)


class Governor:
    """What may be sent now, and whether at all.

    Args:
        permit: caps and budgets.
        journal: where level and mode are kept; they are taken up from there.
    """

    def __init__(self, permit: Permit, journal: Journal, now_ns: int) -> None:
        self.caps, self.budgets = permit.caps, permit.budgets
        self._journal = journal
        kept = json.loads(journal.get("governor", "{}"))
        self.mode: str = kept.get("mode", TRADING)
        self.why: str = kept.get("why", "")
        self.level = min(int(kept.get("level", 0)), self.caps.doublings)
        self._good_ns = int(kept.get("good_ns", 0))  # traded within all budgets at this level
        self._kept_ns = self._good_ns  # of these, in the journal
        self._seen_ns = now_ns
        self._peak_uusd: int | None = kept.get("peak_uusd")
        self._kept_uusd = self._peak_uusd or 0  # of the highest equity, in the journal
        self._day: int | None = kept.get("day")
        self._day_uusd = int(kept.get("day_uusd", 0))
        self._placed: deque[int] = deque()
        self._refused: deque[bool] = deque(maxlen=self.budgets.reject_window)
        self.equity_uusd: int | None = None

    @property
    def order_uusd(self) -> int:
        """Most that an order may lose."""
        return self.caps.order_uusd << self.level

    @property
    def risk_uusd(self) -> int:
        """Most that all may lose."""
        return self.caps.risk_uusd << self.level

    def too_fast(self, now_ns: int) -> bool:
        """Whether another order now would be one too many in a second."""
        while self._placed and self._placed[0] <= now_ns - SECOND_NS:
            self._placed.popleft()
        return len(self._placed) >= self.caps.orders_per_s << self.level

    def placed(self, now_ns: int) -> None:
        """An order goes out."""
        self._placed.append(now_ns)

    def answered(self, refused: bool) -> str:
        """The venue took an order or not; the breach that this is, or ""."""
        self._refused.append(refused)
        share = sum(self._refused) / len(self._refused)
        if len(self._refused) >= min(_FEWEST, self.budgets.reject_window) and share > self.budgets.reject_share:
            return f"the venue refused {sum(self._refused)} of the last {len(self._refused)} orders"
        return ""

    def differs(self, uusd: int) -> str:
        """What reconciliation found; the breach that this is, or ""."""
        if uusd > self.budgets.difference_uusd:
            return f"venue and ledger differ by {uusd} micro-dollars; {self.budgets.difference_uusd} are allowed"
        return ""

    def watch(self, equity_uusd: int, now_ns: int) -> str:
        """The account's worth; the breach that this is, or "". Caps may grow."""
        self.equity_uusd = equity_uusd
        day, peak = now_ns // _DAY_NS, self._peak_uusd
        self._peak_uusd = equity_uusd if peak is None else max(peak, equity_uusd)
        new_day = day != self._day
        if new_day:
            self._day, self._day_uusd = day, equity_uusd
        if new_day or self._peak_uusd - self._kept_uusd > self.budgets.drawdown_uusd // 100:
            self._keep()  # not for every tick of the mid: a write waits for the disk
        if self._day_uusd - equity_uusd >= self.budgets.daily_loss_uusd:
            lost = self._day_uusd - equity_uusd
            return f"{lost} micro-dollars lost today, which count until 0:00 UTC, lifted or not"
        if self._peak_uusd - equity_uusd >= self.budgets.drawdown_uusd:
            return f"{self._peak_uusd - equity_uusd} micro-dollars below the highest equity"
        self._grow(now_ns)
        return ""

    def shift(self, uusd: int) -> None:
        """Cash came or went that no trade explains: neither a loss nor a gain of ours."""
        if self._peak_uusd is not None:
            self._peak_uusd += uusd
        self._day_uusd += uusd
        self._keep()

    def stop(self, mode: str, why: str, now_ns: int) -> bool:
        """To the baseline, or killed; False where that holds already, or a kill does."""
        if self.mode == mode or self.mode == KILLED:
            return False
        self.mode, self.why, self.level, self._good_ns = mode, why, 0, 0
        self._journal.event(now_ns, "kill" if mode == KILLED else "breach", why)
        self._keep()
        return True

    def lift(self, who: str, now_ns: int) -> bool:
        """A person lets it trade again, by the first caps; False where it does already, which changes nothing.

        The drawdown counts from now. The day's loss goes on counting until 0:00 UTC.
        """
        if self.mode == TRADING:
            return False
        self._journal.event(now_ns, "lift", self.mode, who=who, why=self.why)
        self.mode, self.why, self.level, self._good_ns = TRADING, "", 0, 0
        self._peak_uusd = None
        self._refused.clear()
        self._keep()
        return True

    def _grow(self, now_ns: int) -> None:
        """Time counts where the account was watched: what passes while nothing runs does not."""
        passed_ns, self._seen_ns = now_ns - self._seen_ns, now_ns
        if self.mode != TRADING or self.level >= self.caps.doublings:
            return
        self._good_ns += min(max(passed_ns, 0), _LONGEST_NS)
        if self._good_ns - self._kept_ns >= _MINUTE_NS:
            self._keep()
        if self._good_ns >= round(self.caps.grow_h * _HOUR_NS):
            self.level += 1
            self._good_ns = 0
            self._journal.event(now_ns, "caps", "grown", level=self.level, order_uusd=self.order_uusd)
            self._keep()

    def _keep(self) -> None:
        self._kept_ns, self._kept_uusd = self._good_ns, self._peak_uusd or 0
        self._journal.put("governor", json.dumps({
            "mode": self.mode, "why": self.why, "level": self.level, "good_ns": self._good_ns,
            "peak_uusd": self._peak_uusd, "day": self._day, "day_uusd": self._day_uusd,
        }))  # fmt: skip
