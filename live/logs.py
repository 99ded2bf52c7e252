"""Logging for the programs of ``live``: where messages go, and that no key goes with them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from live.secrets import RedactingFilter, Secret


def keep_quiet_about(secrets: Iterable[Secret]) -> None:
    """Strike ``secrets`` out of whatever is logged from now on, by whom ever."""
    found = RedactingFilter(secrets)
    root = logging.getLogger()
    if not root.handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in root.handlers:
        handler.addFilter(found)
