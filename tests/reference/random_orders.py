"""Random wishes: every kind of order, around the touch, allowed and not."""

from __future__ import annotations

from reference.account import Order
from reference.dice import Dice
from reference.engine import ReferenceEngine
from sim.types import (
    ASK,
    BID,
    DO_CANCEL,
    DO_NOTHING,
    DO_PLACE,
    DO_RESET_GROUP,
    FOK,
    GTC,
    INTENT,
    IOC,
    NO,
    PX_ONE,
    SECOND_NS,
    YES,
)

NOTHING = {**dict.fromkeys(INTENT.names, 0), "do": DO_NOTHING}


class Trader:
    """Wishes for one environment. ``zeal``: how often it wants something."""

    def __init__(self, dice: Dice, zeal: float) -> None:
        self.dice, self.zeal = dice, zeal
        self.last = [NOTHING, NOTHING]

    def intents(self, engine: ReferenceEngine) -> list[dict]:
        """What it wants on the bid side and on the ask side."""
        return [self._one(engine, side) for side in (BID, ASK)]

    def _one(self, engine: ReferenceEngine, side: int) -> dict:
        dice = self.dice
        if engine.market.triggered and dice.chance(0.3):
            return {**NOTHING, "do": DO_RESET_GROUP}
        if not dice.chance(self.zeal):
            return NOTHING
        if dice.chance(0.08):
            return {**NOTHING, "do": DO_CANCEL}
        if dice.chance(0.15):
            return self.last[side]
        resting = [order for order in engine.account.resting if order.side == side]
        if resting and dice.chance(0.2):
            return self._less(engine, dice.pick(resting))
        self.last[side] = self._order(engine, side)
        return self.last[side]

    def _less(self, engine: ReferenceEngine, order: Order) -> dict:
        """The same order again, smaller or with another end."""
        dice = self.dice
        qty = dice.pick((order.qty, order.qty // 2, order.qty - 1))
        return {
            **NOTHING, "do": DO_PLACE, "qty": max(1, qty), "px": order.px, "leg": order.leg, "tif": GTC,
            "expiry_ns": dice.pick((order.expiry, 0, self._expiry(engine))),
        }  # fmt: skip

    def _expiry(self, engine: ReferenceEngine) -> int:
        """An end some seconds ahead; now and then one that the venue refuses."""
        dice, venue = self.dice, engine.setting.venue
        soonest = engine.now + max(venue.lead_ns, venue.early_ns + SECOND_NS)
        return soonest + dice.pick((-SECOND_NS, 0, SECOND_NS, 5 * SECOND_NS, 400_000_000)) + dice.below(SECOND_NS)

    def _order(self, engine: ReferenceEngine, side: int) -> dict:
        dice = self.dice
        held = engine.account.held
        closing = NO if side == BID else YES
        rivals = [order for order in engine.account.resting if order.reduce and order.leg == closing]
        if len(rivals) > 1 and dice.chance(0.5):
            # buying the other leg nets what two of our orders have promised: the younger has to give way
            leg = YES if closing == NO else NO
            return {
                **NOTHING,
                "do": DO_PLACE,
                "qty": held[closing],
                "px": _last_px(engine, side),
                "leg": leg,
                "tif": IOC,
            }
        reduce = dice.chance(0.6) if held[closing] else dice.chance(0.1)
        leg = closing if reduce else (YES if side == BID else NO)
        px = self._price(engine, side)
        tif = dice.pick((GTC, GTC, GTC, GTC, GTC, IOC, IOC, FOK))
        least = engine.setting.venue.min_qty
        qty = least + dice.pick((dice.below(60), dice.below(60), dice.below(400), dice.below(2000)))
        if dice.chance(0.05):
            qty = dice.pick((10**7, least - 1, 0))
        if reduce and dice.chance(0.7):
            qty = max(least, held[closing] // dice.pick((1, 3, 3)))
        price = max(1, px if leg == YES else PX_ONE - px)
        if not reduce and dice.chance(0.1):
            qty = engine.account.free * dice.between(96, 100) // 100 // price  # nearly all the cash
        budget = 0
        if not reduce and dice.chance(0.3 if tif != GTC else 0.04):
            budget = 1 + dice.below(max(1, qty * price))
        return {
            "qty": qty, "budget_uusd": budget, "px": px, "do": DO_PLACE, "leg": leg, "tif": tif,
            "expiry_ns": self._expiry(engine) if dice.chance(0.2 if tif == GTC else 0.03) else 0,
            "post_only": int(dice.chance(0.2 if tif == GTC else 0.03)),
        }  # fmt: skip

    def _price(self, engine: ReferenceEngine, side: int) -> int:
        """Mostly a price near the touch, joining, improving or crossing it; now and then one that is not allowed."""
        dice = self.dice
        if dice.chance(0.02):
            return dice.pick((0, PX_ONE, -100, PX_ONE + 100, 1))
        bid, ask = engine.market.quotes()
        resting = [order.px for order in engine.account.resting if order.side == side]
        if resting and dice.chance(0.3):
            return dice.pick(resting)  # another size at the price we have: behind ourselves, where delays let both rest
        touches = [px for px in (bid, ask, bid if side == BID else ask) if px is not None]
        around = dice.pick(touches) if touches else engine.market.book.mid2 // 2 // 100 * 100
        prices = engine.market.prices
        if dice.chance(0.03):
            return around + 1
        reach = sorted(px for px in range(around - 300, around + 301, 10) if px in prices)
        if not reach or dice.chance(0.4):
            return around
        near = sorted(reach, key=lambda px: (abs(px - around), px))[: dice.between(1, 9)]
        return dice.pick(near)


def _last_px(engine: ReferenceEngine, side: int) -> int:
    """The price of an order that takes everything on the other side."""
    return min(engine.market.prices) if side == ASK else max(engine.market.prices)
