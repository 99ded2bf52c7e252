"""What a shadow session is: plain dataclasses, which ``shadow.py`` makes known to Hydra."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from live.monitor.checklist import Thresholds
from live.shadow.divergence import Gate
from live.shadow.seats import Health
from live.shadow.staleness import TimeToLive
from live.shadow.trading import TradingConfig, permit_of

LIVE = "live"
MODES = ("shadow", "paper", "ab", LIVE)
LIVE_TWIN = 1  # of mode=live: the account where the same policy trades on paper
ANY_PORT, NO_PORT = 0, -1


@dataclass
class PageConfig:
    """The page of a session, and what is shown at the terminal."""

    port: int = 8100  # of this machine only; 0 = any that is free, -1 = no page
    terminal: bool = False  # a view that fills the terminal, instead of a line
    every_s: float = 1.0  # between two views


@dataclass
class RecordingConfig:
    """The session's recording: frames and decisions in one log."""

    segment_mib: int = 64
    cap_gib: float = 50.0  # most that all sessions in ``out`` may take


@dataclass
class ShadowConfig:
    """Of shadow.py."""

    checkpoint: str | None = None  # a run folder, baseline:NAME, or "promoted": the policy that is in use now
    other: str | None = None  # the same, of mode=ab: the second policy
    baseline: str = "quoter"  # stands beside and behind the policy; name as in evaluation.baselines
    venue: str = "kalshi"  # or polymarket
    markets: list[str] = field(default_factory=list)  # Kalshi's tickers, Polymarket's slugs or condition ids
    # shadow: the baseline executes on paper, the policy proposes; paper: the policy executes on paper, the baseline
    # proposes; ab: two policies execute on paper, the baseline proposes; live: the policy executes at the venue, and
    # on paper beside that, see `live`
    mode: str = "shadow"
    minutes: float = 0.0  # after which it ends; 0 = when its markets have settled, or Ctrl-C
    limits: Any = None  # of the shield, as env.limits; null = those of the run's environment, else "balanced"
    out: str = "shadow"  # folder of sessions
    name: str = ""  # of this one; default venue and seconds since 1970
    keyless: bool = False  # Kalshi: poll REST about once a second instead of the socket, which asks for a key
    rest: str = ""  # another address of REST (Polymarket: Gamma)
    socket: str = ""  # another address of the socket
    clob: str = ""  # another address of Polymarket's CLOB
    seed: int = 0  # of policies and fill models that draw
    registry: str = "checkpoints/promoted"  # where checkpoint=promoted looks
    replay: str | None = None  # folder of a session: play it again from its log, and compare
    health: Health = field(default_factory=Health)
    freshness: TimeToLive = field(default_factory=TimeToLive)
    gate: Gate = field(default_factory=Gate)
    # divergence is in shares of the gate's limits; a decision of several accounts also waits for their log
    checks: Thresholds = field(default_factory=lambda: Thresholds(divergence=1.0, latency_p99=5000.0))
    page: PageConfig = field(default_factory=PageConfig)
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    live: TradingConfig = field(default_factory=TradingConfig)


def check_config(config: ShadowConfig) -> None:
    """Raise ValueError for settings that contradict each other, naming them and what would do."""
    if config.replay is not None:
        return
    if config.checkpoint is None or not config.markets:
        raise ValueError(
            f"checkpoint = {config.checkpoint}, markets = {config.markets}: expected a run folder (or "
            f"baseline:NAME, or promoted) and markets, such as checkpoint=checkpoints/RUN venue=kalshi markets=[TICKER]"
        )
    if config.venue not in ("kalshi", "polymarket"):
        raise ValueError(f"venue = {config.venue}: expected kalshi or polymarket")
    if config.mode not in MODES:
        raise ValueError(f"mode = {config.mode}: expected one of {', '.join(MODES)}")
    if (config.mode == "ab") != (config.other is not None):
        raise ValueError(f"mode = {config.mode}, other = {config.other}: mode=ab, and it alone, wants a second policy")
    _check_live(config)
    if config.keyless and config.venue != "kalshi":
        raise ValueError("keyless = true is Kalshi's: Polymarket asks for no key for market data; leave it out")
    if not config.minutes >= 0 or not config.page.every_s > 0:
        raise ValueError(
            f"minutes = {config.minutes}, page.every_s = {config.page.every_s}: expected 0 or more, and more than 0"
        )


def _check_live(config: ShadowConfig) -> None:
    """Real orders are asked for twice, at the one venue that they go to, with their limits confirmed."""
    if config.live.enabled != (config.mode == LIVE):
        raise ValueError(
            f"mode = {config.mode}, live.enabled = {config.live.enabled}: real orders ask for both mode=live and "
            "live.enabled=true"
        )
    if config.mode != LIVE:
        return
    if config.venue != "kalshi" or config.keyless:
        raise ValueError(
            f"venue = {config.venue}, keyless = {config.keyless}: mode=live sends orders to Kalshi, with a key"
        )
    permit_of(config.live)
