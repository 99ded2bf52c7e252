"""What follows a take: wider quotes, followers, cascades, and those who watch us. From docs/market.md."""

from __future__ import annotations

import math

from reference.philox import BURST, exponential, uniform
from sim.types import ASK, BID, SECOND_NS

NEVER = math.inf


class Opponents:
    """Mixed into :class:`reference.flow.Flow`."""

    def start_reactions(self) -> None:
        """Nobody has taken anything yet."""
        self.wide, self.wide_ns = 0.0, SECOND_NS
        self.excess, self.excess_ns, self.burst_ns, self.burst_side, self.bursts = 0.0, SECOND_NS, NEVER, 0, 0
        self.cascade_until_ns, self.cascade_side = 0, 0
        self.ours_net = self.ours_all = 0.0
        self.ours_ns = SECOND_NS
        self.unseen: list[tuple[int, int]] = []  # our takes that they have not heard of: lots, + bought, and when
        self.front_left = self.copy_left = 0.0
        self.trend_ns = SECOND_NS

    def take(self, side: int, limit: int, qty: int, now: int, *, leads: bool = True) -> int:
        """A taker walks the book: at every level a print, then the level's change; then others react. Returns lots."""
        market, left = self.market, qty
        resting = ASK if side == BID else BID
        for px in market.book.prices_from_best(resting):
            if left == 0 or (px > limit if side == BID else px < limit):
                break
            shown = market.book.size(resting, px)
            size = min(left, shown)
            market.print_trade(side, px, size, now)
            market.change_level(resting, px, shown - size, now)
            left -= size
        if qty > left:
            self.makers_react(side, qty - left, now)
            if leads:
                self.others_follow(side, qty - left, now)
        return qty - left

    def makers_react(self, side: int, filled: int, now: int) -> None:
        """Wider quotes, a pulled touch."""
        market, row = self.market, self.row
        self.widen(filled, now)
        resting = ASK if side == BID else BID
        touch = market.book.best(resting)
        if touch is not None and row["pull"] > 0:
            shown = market.book.size(resting, touch)
            market.change_level(resting, touch, shown - math.floor(shown * row["pull"]), now)

    def others_follow(self, side: int, filled: int, now: int) -> None:
        """Followers, a cascade."""
        row = self.row
        if row["excite"] > 0:
            self.burst_side = side
            self.excite(row["excite"] / row["excite_life_s"], now)
        if 0 < round(row["cascade_size"] * 100) <= filled and now >= self.cascade_until_ns:
            self.start_cascade(side, now)

    def widen(self, qty: int, now: int) -> None:
        """The makers keep more distance for a while."""
        if self.row["widen"] > 0:
            self.wide *= math.exp(-(now - self.wide_ns) / (self.row["resilience_s"] * 1e9))
            self.wide += qty * (self.row["widen"] * 1e6 / 10_000)
            self.wide_ns = now

    def wider(self, now: int) -> int:
        """What takes, our own among them, have added to the half-spread, ppm."""
        self.wide *= math.exp(-(now - self.wide_ns) / (self.row["resilience_s"] * 1e9))
        self.wide_ns = now
        wide = self.wide
        if self.watched:
            self.learn(now)
            wide += self.row["fade_spread"] * 1e6 / 10_000 * self.ours_all
        wide = min(wide, self.row["widen_max"] * 1e6)
        if now < self.cascade_until_ns:
            wide += self.row["cascade_widen"] * 1e6
        return math.floor(wide)

    def excite(self, jump: float, now: int) -> None:
        """The followers' rate jumps, and when the next comes is drawn anew."""
        life = self.row["excite_life_s"]
        self.excess = self.excess * math.exp(-(now - self.excess_ns) / (life * 1e9)) + jump
        self.excess_ns = now
        word = self.draw(BURST, self.bursts, 0)[0]
        self.bursts += 1
        left = 1.0 - exponential(word) / (self.excess * life) if self.excess > 0 else 0.0
        self.burst_ns = now + 1 + math.floor(-math.log(left) * life * 1e9) if left > 0 else NEVER

    def follow(self, now: int) -> None:
        """A follower takes."""
        self.market.seen["flow: follower"] += 1
        _, size, kind, coin = self.draw(BURST, self.bursts - 1, 0)
        side = self.burst_side
        if now < self.cascade_until_ns:
            side = self.cascade_side
        elif uniform(coin) >= self.row["excite_same"]:
            side = 1 - side
        drawn = self.bursts
        self.take(side, self.anything(side), self.noise_lots(kind, size), now)
        if self.bursts == drawn:
            self.excite(0.0, now)

    def start_cascade(self, side: int, now: int) -> None:
        """The makers pull a share of every level, and takers of one side follow."""
        market, row = self.market, self.row
        market.seen["flow: cascade begins"] += 1
        self.cascade_until_ns, self.cascade_side = now + round(row["cascade_life_s"] * 1e9), side
        for book_side in (BID, ASK):
            for steps in range(self.levels):
                px = self.behind(book_side, steps)
                if px is not None:
                    shown = market.book.size(book_side, px)
                    market.change_level(book_side, px, shown - math.floor(shown * row["cascade_pull"]), now)
        if row["cascade_follow"] > 0:
            self.excite(row["cascade_follow"], now)

    def momentum(self, size: int, now: int) -> None:
        """Takes the side to which the mid has left its average."""
        elapsed = now - self.trend_ns
        mid2 = self.market.book.mid2
        self.trend2 += (mid2 - self.trend2) * (elapsed / (elapsed + self.row["momentum_life_s"] * 1e9))
        self.trend_ns = now
        away = mid2 - self.trend2
        if abs(away) > self.row["momentum_edge"] * 20_000:
            side = BID if away > 0 else ASK
            self.take(side, self.anything(side), self.lots(size, self.row["momentum_size"]), now)

    # those who watch us

    @property
    def watched(self) -> bool:
        """Whether anybody does."""
        return any(self.row[name] > 0 for name in ("front_rate", "copy_rate", "fade_spread", "fade_depth"))

    def we_took(self, signed: int, now: int) -> None:
        """We took so many lots, + bought."""
        self.widen(abs(signed), now)
        if self.watched:
            self.learn(now)
            self.unseen.append((signed, now))

    def learn(self, now: int) -> None:
        """What opponents know of our takes now, and what they want; with the first unseen take they hear of all."""
        keep = math.exp(-(now - self.ours_ns) / (self.row["watch_s"] * 1e9))
        self.ours_net *= keep
        self.ours_all *= keep
        self.front_left *= keep
        self.copy_left *= keep
        self.ours_ns = now
        if self.unseen and now >= self.unseen[0][1] + round(self.row["watch_delay_ms"] * 1e6):
            net = sum(signed for signed, _ in self.unseen)
            self.ours_net += net
            self.ours_all += sum(abs(signed) for signed, _ in self.unseen)
            self.front_left += self.row["front_share"] * net
            self.copy_left += self.row["copy_share"] * net
            self.market.seen["flow: both sides unseen"] += abs(net) < sum(abs(signed) for signed, _ in self.unseen)
            self.unseen = []

    def opponent_takes(self, allowance: float, now: int) -> int:
        """Up to so many lots at the makers' own quote. Returns what was taken, + bought."""
        side = BID if allowance > 0 else ASK
        px = self.behind(1 - side, 0)
        if px is None:
            return 0
        filled = self.take(side, px, math.floor(abs(allowance)), now, leads=False)
        self.market.seen["flow: opponent took"] += filled > 0
        return filled if side == BID else -filled

    def front(self, now: int) -> None:
        """Acts where our takes were many and one-sided."""
        self.learn(now)
        many = self.ours_all >= self.row["front_min"] * 100
        if many and abs(self.ours_net) > self.row["front_bias"] * self.ours_all and self.ours_net * self.front_left > 0:
            self.front_left -= self.opponent_takes(self.front_left, now)

    def copy(self, now: int) -> None:
        """Does what we did."""
        self.learn(now)
        self.copy_left -= self.opponent_takes(self.copy_left, now)
