"""``python -m live.fake kalshi|polymarket``: a fake venue on a port of this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from live.clock import Clock, SystemClock
from live.fake.faults import Plan, load
from live.fake.guard import KalshiGuard, PolymarketGuard, new_kalshi_key, new_polymarket_key, new_wallet
from live.fake.kalshi import SOCKET_PATH, KalshiVenue
from live.fake.market import Markets, Synthetic, from_tapes, synthetic
from live.fake.polymarket import MARKET_PATH, USER_PATH, PolymarketVenue
from live.fake.server import HOST, FakeVenue, Venue
from live.secrets import Secret, write_owner_only

_KEY_ID = "fake-key-1"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 2 for arguments that cannot be."""
    args = _arguments(argv)
    try:
        venue, notes = _venue(args, SystemClock())
    except (ValueError, OSError) as error:
        print(f"live.fake: {error}", file=sys.stderr)  # noqa: T201
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(venue, args, notes))
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m live.fake", description=__doc__)
    parser.add_argument("venue", choices=("kalshi", "polymarket"))
    parser.add_argument("--port", type=int, default=8090, help=f"on {HOST}; 0 = any that is free")
    parser.add_argument("--markets", type=int, default=4, help="series of synthetic markets, side by side")
    parser.add_argument("--life", type=float, default=900.0, help="seconds of market time from opening to close")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tape", nargs="+", default=(), metavar="FILE", help="play tapes instead, from now on")
    parser.add_argument("--speed", type=float, default=1.0, help="market seconds per second")
    parser.add_argument("--faults", default="", metavar="FILE|seed:N", help="a JSON list of faults, or random ones")
    parser.add_argument("--key-out", default="", metavar="FOLDER", help="write a throw-away key there, owner only")
    return parser.parse_args(argv)


def _venue(args: argparse.Namespace, clock: Clock) -> tuple[Venue, list[str]]:
    """The venue, and the lines that say how to use its key. Raises ValueError or OSError."""
    start_ns = clock.now_ns()
    plan = Plan(load(args.faults) if args.faults else (), start_ns)
    if args.tape:
        markets = from_tapes(args.tape, start_ns, args.speed, args.venue)
    else:
        spec = Synthetic(args.markets, life_s=args.life, speed=args.speed)
        markets = synthetic(args.venue, start_ns, args.seed, spec)
    folder = Path(args.key_out) if args.key_out else None
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    build = _kalshi if args.venue == "kalshi" else _polymarket
    return build(markets, clock, plan, folder, args.seed)


def _kalshi(markets: Markets, clock: Clock, plan: Plan, folder: Path | None, _: int) -> tuple[Venue, list[str]]:
    pem, public = new_kalshi_key()
    venue = KalshiVenue(markets, clock, KalshiGuard({_KEY_ID: public}, clock), plan=plan)
    if folder is None:
        return venue, ["no key was written: only REST without a key works; see --key-out"]
    path = folder / "kalshi-key.pem"
    write_owner_only(path, pem)
    return venue, [
        f"export SHADOWBOOK_KALSHI_KEY_ID={_KEY_ID}", f"export SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE={path.resolve()}"
    ]  # fmt: skip


def _polymarket(markets: Markets, clock: Clock, plan: Plan, folder: Path | None, seed: int) -> tuple[Venue, list[str]]:
    rng = Random(seed)
    wallet = new_wallet(rng)
    key = new_polymarket_key(rng, wallet)
    venue = PolymarketVenue(markets, clock, PolymarketGuard(key, clock), plan=plan)
    if folder is None:
        return venue, ["no key was written: orders and the user socket need one; see --key-out"]
    lines = []
    parts = {"ADDRESS": Secret(key.address), "API_KEY": key.api_key, "SECRET": key.secret, "PASSPHRASE": key.passphrase}
    for name, secret in parts.items():
        path = folder / f"polymarket-{name.lower().replace('_', '-')}"
        write_owner_only(path, secret)
        lines.append(f"export SHADOWBOOK_POLYMARKET_{name}_FILE={path.resolve()}")
    path = folder / "polymarket-wallet"
    write_owner_only(path, wallet.secret)
    return venue, [*lines, f"the wallet that signs orders: {path.resolve()}"]


async def _serve(venue: Venue, args: argparse.Namespace, notes: list[str]) -> None:
    async with FakeVenue(venue, args.port) as fake:
        if args.venue == "kalshi":
            urls = [("REST", f"{fake.url}/trade-api/v2"), ("socket", f"{fake.socket_url}{SOCKET_PATH}")]
        else:
            urls = [("Gamma and CLOB", fake.url), ("market socket", f"{fake.socket_url}{MARKET_PATH}"),
                    ("user socket", f"{fake.socket_url}{USER_PATH}")]  # fmt: skip
        for line in [
            *(f"{name}: {url}" for name, url in urls),
            *notes,
            *_commands(args, venue, fake),
            "Ctrl-C ends it",
        ]:
            print(line, flush=True)  # noqa: T201
        await fake.run()


def _commands(args: argparse.Namespace, venue: Venue, fake: FakeVenue) -> list[str]:
    """Commands that record what is open now, and play beside it."""
    words = [f"venue={args.venue}"]
    if args.venue == "kalshi":
        words += [f"rest={fake.url}/trade-api/v2", f"socket={fake.socket_url}{SOCKET_PATH}"]
        words += [] if args.key_out else ["keyless=true"]
    else:
        words += [f"rest={fake.url}", f"clob={fake.url}", f"socket={fake.socket_url}{MARKET_PATH}"]
    now_ns = venue.clock.now_ns()
    here = [one.market for one in venue.listings if one.market.close_ns == 0 or one.market.close_ns > now_ns]
    opened = [market for market in here if market.open_ns <= now_ns] or here
    names = ",".join(market.id for market in opened[: args.markets])
    told = " ".join(words)
    return [
        f"python -m live.record {told} markets={names}",
        f"python shadow.py checkpoint=baseline:imbalance {told} 'markets=[{names}]'",
    ]


if __name__ == "__main__":
    sys.exit(main())
