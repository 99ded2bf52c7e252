"""Why an episode is over: what ends the market or the account terminates, what only ends our watching truncates."""

from __future__ import annotations

from sim.kernel import kernel
from sim.types import SETTLED

RUNNING = 0
RESOLUTION = 1  # terminated: the market paid out
RUIN = 2  # terminated: equity below one smallest order
GAP = 3  # truncated: the recording lost messages
TAPE_END = 4  # truncated: the recording ends
WINDOW = 5  # truncated: the episode's window is over
REASONS = ("running", "resolution", "ruin", "gap", "tape_end", "window")


@kernel
def write_ends(accounts, markets, over, cut, resting, first, last, terminated, truncated, reasons):
    """Copy the engine's ``over`` and ``cut`` bool ``(N,)`` and name the reason.

    ``reasons`` int8 ``(N,)``: one of the codes above. Environments in ``resting`` bool ``(N,)``, whose episode had
    ended before this step, report nothing.
    """
    for env in range(first, last):
        terminated[env] = over[env] and not resting[env]
        truncated[env] = cut[env] and not resting[env]
        account = accounts[env]
        reason = RUNNING
        if terminated[env]:
            reason = RESOLUTION if markets[env]["status"] == SETTLED else RUIN
        elif truncated[env]:
            if account["gap"] == 1:
                reason = GAP
            elif markets[env]["tape"] >= 0 and markets[env]["cursor"] >= markets[env]["cursor_end"]:
                reason = TAPE_END
            else:
                reason = WINDOW
        reasons[env] = reason
