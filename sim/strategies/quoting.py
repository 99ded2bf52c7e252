"""The pieces of a market maker, each a function of plain numbers: where to quote, how far off, how much, when to move.

Prices and money in dollars, sizes in contracts, times in seconds. The quotes of :func:`reservation_price` and
:func:`half_spread` are optimal for a constant absolute risk aversion, a mid that moves like a random walk and fills
that thin out like ``exp(-kappa x distance)``: M. Avellaneda, S. Stoikov, "High-frequency trading in a limit order
book", Quantitative Finance 8, 2008, equations (29) and (30).
"""

from __future__ import annotations

import math

from sim.kernel import kernel
from sim.mathematics import exp, log
from sim.types import BID


@kernel
def moved_variance(variance, move, elapsed, half_life):
    """Variance of the mid per second after a ``move`` in dollars over ``elapsed`` seconds > 0.

    ``w x variance + (1 - w) x move^2 / elapsed`` with ``w = 2^(-elapsed / half_life)``: an average over market time, so
    that it does not depend on how often one looks.
    """
    keep = exp(-0.6931471805599453 * elapsed / half_life)
    return keep * variance + (1.0 - keep) * (move * move / elapsed)


@kernel
def reservation_price(mid, net, gamma, variance, seconds):
    """What a contract is worth to someone who holds ``net``: ``mid - net x gamma x variance x seconds``.

    ``gamma`` is the risk aversion per dollar, ``variance`` in dollars^2 per second, ``seconds`` the horizon.
    """
    return mid - net * gamma * variance * seconds


@kernel
def half_spread(gamma, variance, seconds, kappa):
    """Distance of a quote from the reservation price: ``gamma variance seconds / 2 + log(1 + gamma / kappa) / gamma``.

    ``kappa`` per dollar: how fast fills thin out with distance. Without risk aversion, gamma = 0, it is ``1 / kappa``.
    """
    if gamma <= 0.0:
        return 1.0 / kappa
    return 0.5 * gamma * variance * seconds + log(1.0 + gamma / kappa) / gamma


@kernel
def outward_px(price, side, tick_px):
    """Price in 1e-4 dollar on a grid of ``tick_px``, rounded away from the mid: a bid down, an ask up."""
    ticks = price * 10_000.0 / tick_px
    # a price that is on the grid but for rounding errors stays there
    if side == BID:
        return int(math.floor(ticks + 1e-9)) * tick_px
    return int(math.ceil(ticks - 1e-9)) * tick_px


@kernel
def edge(quote, fair, side, fee):
    """Dollars a fill of ``quote`` gains on average if ``fair`` is right, ``fee`` paid per contract."""
    return (fair - quote if side == BID else quote - fair) - fee


@kernel
def shrunk_size(size, net, limit, side):
    """Contracts to quote: the full size on the side that reduces ``net``, shrinking linearly to 0 at ``limit`` on the
    side that adds to it.
    """
    adds = net if side == BID else -net
    if adds <= 0.0:
        return size
    return size * max(0.0, 1.0 - adds / limit)


@kernel
def may_move(own_px, wanted_px, side, age, min_life, tolerance_px):
    """Whether a resting quote is to be replaced: it is off by more than the tolerance, and has had its least life.

    A quote that has become too good for the others is withdrawn at once: its least life protects it from being
    improved too often, not from being picked off.
    """
    off = wanted_px - own_px if side == BID else own_px - wanted_px  # > 0: the wanted quote is better for the others
    if abs(off) <= tolerance_px:
        return False
    return off < 0 or age >= min_life
