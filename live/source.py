"""Where market data come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sim.wire.units import Taken

Take = Callable[[Taken], None]  # is called with what every frame said, in the order of arrival


class Source(Protocol):
    """What brings market data until it is stopped: a socket, or a poller."""

    @property
    def why(self) -> str:
        """It was stopped; "" = it was not."""
        ...

    @property
    def heard(self) -> int:
        """Times that something came which is no message, such as an answer to a ping."""
        ...

    @property
    def state(self) -> str:
        """In a word."""
        ...

    async def run(self) -> None:
        """Until it is stopped, or gives up."""
        ...

    async def stop(self, why: str) -> None:
        """End."""
        ...
