"""What several markets of an environment share: beliefs of groups, and the clock of what comes from outside."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from reference.flow import NEVER, PPM, SHOCKS, Flow, low_half, pick
from reference.market import Market
from reference.philox import OUTCOME, RESET, SHOCK, below, exponential, uniform
from sim.types import OPEN, PX_ONE, SECOND_NS, SETTLED


class LinkedFlow(Flow):
    """A synthetic market whose belief is its group's."""

    def __init__(self, market: Market, row: dict, outside: Outside, index: int) -> None:
        self.outside, self.index = outside, index
        super().__init__(market, row)

    def first_belief(self) -> int:
        """The group has one already."""
        return -1

    def first_shock(self) -> float:
        """They come on the environment's clock."""
        return NEVER

    def worth(self) -> None:
        """What everyone knows counts: a group that has not settled anything may be void, then it is or it is not."""
        group, _ = self.outside.places[self.index]
        if self.outside.fates[group] is None:
            super().worth()
        else:
            void = self.outside.fates[group] == "void"
            self.market.latent = self.void_payout() if void else self.expected()

    def expected(self) -> int:
        """The expected payout of YES in ppm, void markets left out."""
        return self.outside.expected(self.index)

    def void_payout(self) -> int:
        """What the group says, or else the environment's row; ppm."""
        own = self.outside.void_px[self.index]
        return round(self.outside.row["void_payout"] * PPM) if own is None else own * 100

    def outcome(self) -> int:
        """What a YES pays: one draw for the whole group."""
        return self.outside.outcome(self.index)


class Outside:
    """Groups of markets: ``pays`` px by group, market and state; the row is that of the first market.

    ``void_px``: what YES of each market pays where its group is void, None = as the row says.
    """

    def __init__(
        self, draw: Callable[[int, int, int], tuple], row: dict, pays: list[list[list[int]]],
        void_px: list[int | None],
    ) -> None:  # fmt: skip
        self.draw, self.row, self.pays, self.void_px = draw, row, pays, void_px
        self.fates: list[str | None] = [None] * len(pays)
        self.places = [(group, place) for group, rows in enumerate(pays) for place in range(len(rows))]
        self.beliefs = [self.first_belief(group, len(rows[0])) for group, rows in enumerate(pays)]
        self.flows: list[LinkedFlow] = []  # filled in by the portfolio
        self.rates = [row[f"{name}_rate"] for name in SHOCKS]
        self.shocks = 1
        self.next_ns = self.after(self.draw(SHOCK, 0, 0)[0], SECOND_NS)

    def first_belief(self, group: int, states: int) -> list[int]:
        """Of two states the row's range; of more, all beliefs are equally likely."""
        if states == 2:
            low, high = (round(self.row[name] * PPM) for name in ("belief_low", "belief_high"))
            first = low + below(self.draw(RESET, 2 + group, 0)[0], high - low + 1)
            return [first, PPM - first]
        weights = [1 + round(exponential(self.draw(RESET, 2 + group, state)[0]) * 2**26) for state in range(states)]
        belief = [weight * PPM // sum(weights) for weight in weights]
        belief[0] += PPM - sum(belief)
        return belief

    def after(self, word: int, now: int) -> float:
        """When something next comes from outside: every group has a stream of its own, and here they are one."""
        if sum(self.rates) == 0:
            return NEVER
        return now + 1 + math.floor(exponential(word) * (SECOND_NS / sum(self.rates) / len(self.pays)))

    def expected(self, market: int) -> int:
        """A market's expected payout in ppm."""
        group, place = self.places[market]
        shares = zip(self.pays[group][place], self.beliefs[group], strict=True)
        return sum(px * share for px, share in shares) // PX_ONE

    def open_flows(self, group: int) -> list[LinkedFlow]:
        """Markets of a group that have not settled."""
        return [flow for flow in self.flows if self.places[flow.index][0] == group and flow.market.status != SETTLED]

    def settled(self, market: int, now: int) -> None:
        """The first of a group lets everyone know, makers too; when nothing is left to strike, the clock stops."""
        group = self.places[market][0]
        members = [flow for flow in self.flows if self.places[flow.index][0] == group]
        first = sum(flow.market.status == SETTLED for flow in members) == 1
        for flow in self.open_flows(group):
            flow.worth()
            if first:
                flow.market.seen["several: makers step aside"] += 1
                flow.step_aside(now)
        if all(flow.market.status == SETTLED for flow in self.flows):
            self.next_ns = NEVER

    def happen(self, now: int) -> None:
        """News of a group, or the same to all its markets."""
        wait, kind, place, size = self.draw(SHOCK, self.shocks, 0)
        self.shocks += 1
        self.next_ns = self.after(wait, now)
        group, name = below(place, len(self.pays)), pick(kind, SHOCKS, self.rates)
        if name == "news":
            if self.fates[group] is None:
                self.news(group, place, size)
                for flow in self.open_flows(group):
                    flow.meet_news(self.shocks - 1, now)
            return
        for flow in self.open_flows(group):
            if flow.market.status == OPEN:
                flow.market.seen[f"several: {name}"] += 1
                flow.strike(name, size, now)

    def news(self, group: int, place: int, size: int) -> None:
        """Mass moves between two states, either way by the same amount."""
        belief = self.beliefs[group]
        states = len(belief)
        pair = below(size, states * (states - 1))
        one, other = divmod(pair, states - 1)
        other += other >= one
        low, high = sorted((one, other))
        mass = belief[low] + belief[high]
        if mass:
            part = self.row["news_large" if low_half(size, self.row["news_large_share"]) else "news_size"]
            jump = round(part * PPM) * 4 * belief[low] // mass * belief[high] // PPM
            belief[low] += jump if place % 2 else -jump
            belief[high] -= jump if place % 2 else -jump
        for flow in self.open_flows(group):
            flow.market.seen["several: news"] += 1
            flow.worth()

    def outcome(self, market: int) -> int:
        """What YES of a market pays; the group's fate is drawn once, when the first of its markets asks."""
        group, _ = self.places[market]
        if self.fates[group] is None:
            self.decide(group)
        flow = self.flows[market]
        flow.market.seen[f"several: {self.fates[group]}"] += 1
        if self.fates[group] == "void":
            return (flow.void_payout() + 50) // 100
        return (self.expected(market) + 50) // 100

    def decide(self, group: int) -> None:
        """Void, or one state of the belief, or with scalar payouts the belief itself in whole px."""
        first, second, _, _ = self.draw(OUTCOME, group, 0)
        if uniform(second) * PPM < round(self.row["void_share"] * PPM):
            self.fates[group] = "void"
            return
        self.fates[group] = "decided"
        belief = self.beliefs[group]
        sums = [sum(belief[: state + 1]) for state in range(len(belief))]
        if self.row["scalar"]:
            ends = [0, *((total + 50) // 100 * 100 for total in sums)]
            self.beliefs[group] = [high - low for low, high in pairwise(ends)]
            return
        height = uniform(first) * PPM
        drawn = next((state for state, total in enumerate(sums) if height < total), len(belief) - 1)
        self.beliefs[group] = [PPM * (state == drawn) for state in range(len(belief))]
