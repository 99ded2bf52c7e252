"""Why an episode is over: what ends the market or the account terminates, what only ends our watching truncates."""

from __future__ import annotations

from sim.kernel import inner, kernel
from sim.types import SETTLED

RUNNING = 0
RESOLUTION = 1  # terminated: every market paid out
RUIN = 2  # terminated: equity below one smallest order
GAP = 3  # truncated: the recording lost messages
TAPE_END = 4  # truncated: every market's recording is over
WINDOW = 5  # truncated: the episode's window is over
REASONS = ("running", "resolution", "ruin", "gap", "tape_end", "window")


@inner
def _settled(markets):
    """Whether every market has paid out."""
    settled = True
    for index in range(len(markets)):
        settled &= markets[index]["status"] == SETTLED
    return settled


@inner
def _dry(markets):
    """Whether every market's recording is over; a synthetic one has none."""
    dry = True
    for index in range(len(markets)):
        dry &= markets[index]["tape"] >= 0 and markets[index]["cursor"] >= markets[index]["cursor_end"]
    return dry


@kernel
def write_ends(accounts, markets, over, cut, awake, first, last, terminated, truncated, reasons):
    """Copy the engine's ``over`` and ``cut`` bool ``(N,)`` and name the reason.

    ``reasons`` int8 ``(N,)``: one of the codes above. Environments that are not ``awake`` bool ``(N,)``, whose episode
    had ended before this step, report nothing.
    """
    width = len(markets) // len(accounts)
    for env in range(first, last):
        terminated[env] = over[env] and awake[env]
        truncated[env] = cut[env] and awake[env]
        reason = RUNNING
        if terminated[env]:
            reason = RESOLUTION if _settled(markets[env * width : (env + 1) * width]) else RUIN
        elif truncated[env]:
            if accounts[env]["gap"] == 1:
                reason = GAP
            else:
                reason = TAPE_END if _dry(markets[env * width : (env + 1) * width]) else WINDOW
        reasons[env] = reason
