"""What a session shows beside what `live.shadow.watch` sees: its page, a line, a view before the first books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from rich.console import Console

from live.clock import Clock
from live.logs import keep_quiet_about
from live.monitor.gate import new_token
from live.monitor.metrics import Metrics
from live.monitor.server import MonitorServer
from live.monitor.view import View
from live.monitor.words import money
from live.shadow.config import NO_PORT


async def open_page(
    held: AsyncExitStack, port: int, folder: Path, clock: Clock, console: Console,
    *, view: Callable[[], View], kill: Callable[[str], Awaitable[None]], metrics: Metrics,
) -> None:  # fmt: skip
    """Serve the page while ``held`` is; where it is, is printed. Raises ValueError where the port is taken."""
    token = new_token(folder / "page-token")
    keep_quiet_about([token])
    server = MonitorServer(view, kill, metrics, token, clock, port)
    try:
        await held.enter_async_context(server)
    except OSError as error:
        raise ValueError(f"page.port = {port}: {error}; page.port=0 takes any that is free, {NO_PORT} none") from error
    # a link with its token is for a person's eyes; where output is kept, the token's file is named
    link = server.link if console.is_terminal else f"{server.url}, token in {folder / 'page-token'}"
    console.print(f"page       {link}", soft_wrap=True, markup=False, highlight=False)


def before_books(view: View, ns: int, feed: str, waiting: list[str], killed: str) -> View:
    """The view of a session that has not begun: the markets that it is ``waiting`` for."""
    reasons = tuple(f"{market}: its book has not been told yet" for market in waiting)
    state = "killed" if killed else "waiting for books"
    return msgspec.structs.replace(view, ns=ns, feed=feed, ready=reasons, state=state, why=killed, killed=bool(killed))


def in_a_line(view: View) -> str:
    """A view in a few words."""
    if not view.accounts:
        return view.state
    results = ", ".join(f"{one.name} {money(one.equity_uusd - one.start_uusd, signed=True)}" for one in view.accounts)
    failed = sum(check.ok is False for check in view.checks)
    return f"{view.feed}, {results}, {failed} checks fail" if failed else f"{view.feed}, {results}"
