"""A fake venue on a real socket and a shadow session beside it, both on a clock that passes when it is told to."""

from __future__ import annotations

import asyncio
import io
import random
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

import shadow
from configs.schema import to_config
from live.clock import ManualClock
from live.fake.answers import Problem
from live.fake.guard import KalshiGuard, PolymarketGuard, new_kalshi_key, new_polymarket_key, new_wallet
from live.fake.kalshi import SOCKET_PATH, KalshiVenue
from live.fake.market import Synthetic, synthetic
from live.fake.polymarket import MARKET_PATH, PolymarketVenue
from live.fake.server import FakeVenue
from live.shadow.shell import Shadow
from sim.types import SECOND_NS

ROOT = Path(__file__).resolve().parents[2]
T0 = 1_800_000_000 * SECOND_NS
STEP_NS = SECOND_NS // 10


def config_of(*words):
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        composed = compose("shadow", list(words))
    return to_config(composed), OmegaConf.to_container(composed, resolve=True)


class Beside:
    """Use it in ``asyncio.run(beside.main(...))``; ``words`` are those of shadow.py but for addresses and markets."""

    def __init__(self, monkeypatch, root, *words, venue="kalshi", markets=2, life_s=20.0, plan=None, patient=True):
        self.clock = ManualClock(T0)
        told = synthetic(venue, T0, 0, Synthetic(markets, rounds=1, life_s=life_s))
        if venue == "kalshi":
            pem, public = new_kalshi_key()
            monkeypatch.setenv("SHADOWBOOK_KALSHI_KEY_ID", "test")
            monkeypatch.setenv("SHADOWBOOK_KALSHI_PRIVATE_KEY", pem.reveal())
            self.venue = KalshiVenue(told, self.clock, KalshiGuard({"test": public}, self.clock))
        else:
            rng = random.Random(0)
            key = new_polymarket_key(rng, new_wallet(rng))
            self.venue = PolymarketVenue(told, self.clock, PolymarketGuard(key, self.clock))
        self.server = FakeVenue(self.venue)
        self.words = [f"venue={venue}", f"out={root}", "name=s", "page.port=-1", *words]
        # a clock that stands still while somebody decides measures nothing; a busy machine's would be late
        self.words += ["health.deadline_ms=1e6"] if patient else []
        self.ids = [listing.market.id for listing in self.venue.listings]
        self.folder, self.change = Path(root) / "s", plan or (lambda one: one)
        self.console = Console(file=io.StringIO(), width=200, force_terminal=True)

    def shadow(self):
        """A session on the venue, which listens by now."""
        kalshi = isinstance(self.venue, KalshiVenue)
        rest = f"{self.server.url}/trade-api/v2" if kalshi else self.server.url
        at = [f"rest={rest}", f"socket={self.server.socket_url}{SOCKET_PATH if kalshi else MARKET_PATH}"]
        at += [] if kalshi else [f"clob={rest}"]
        given = any(word.startswith("markets=") for word in self.words)
        names = [] if given else [f"markets=[{','.join(self.ids)}]"]
        config, resolved = config_of(*self.words, *at, *names)
        plan = self.change(shadow._plan(config, resolved))
        return Shadow(config, plan, self.clock, random.Random(0), self.console)

    async def go(self, seconds=STEP_NS / SECOND_NS):
        """Let so much time pass, and everybody do what they do then."""
        until_ns = self.clock.now_ns() + round(seconds * SECOND_NS)
        while self.clock.now_ns() < until_ns:
            await self.server.step_to(min(self.clock.now_ns() + STEP_NS, until_ns))
            for _ in range(4):
                await asyncio.sleep(0.0002)

    async def until(self, wanted, task, most_s=120.0):
        """Let time pass until ``wanted()``."""
        end_ns = self.clock.now_ns() + round(most_s * SECOND_NS)
        while not wanted():
            if task.done():
                await task
            assert self.clock.now_ns() < end_ns and not task.done(), "waited in vain"
            await self.go()

    def cut(self, refuse=True):
        """End the connection; with ``refuse`` the venue takes no other until :meth:`mend`."""
        if refuse:
            self.venue.connect = self._refuse
        self.server._connections[0]._transport.abort()

    def mend(self):
        """The venue takes connections again."""
        del self.venue.connect

    def _refuse(self, path, headers):
        raise Problem(503, "unavailable", "not now")

    async def main(self, script=None):
        """A session to its end; ``script(beside, shadow, task)`` goes on beside it. The summary, and the session."""
        async with self.server:
            one = self.shadow()
            task = asyncio.create_task(one.run())
            try:
                if script is not None:
                    await script(self, one, task)
                while not task.done():
                    await self.go()
                return await task, one
            finally:
                task.cancel()

    def run(self, script=None):
        """The same, in a loop of its own."""
        return asyncio.run(self.main(script))
