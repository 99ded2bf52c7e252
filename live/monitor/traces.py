"""A trace for every decision: a line of the log and, where OpenTelemetry is configured, a span. Outside the hot path.

Who decides appends a `Decision` to a list; about once a second the list is handed to :meth:`Traces.write`. Which
trace belongs to a decision follows from the session and the decision's number alone, so that a replay, a log line of an
order and a span of another program find each other.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry import context, trace

_LOG = logging.getLogger(__name__)
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class Decision(NamedTuple):
    """A decision that was made, as its maker notes it down."""

    number: int  # from 0 in each session
    ns: int  # wall clock when it began
    took_ns: int
    stages_ns: tuple[int, ...]  # how long its parts took, in the order of the names that `Traces` was given
    orders: int  # that may go out
    cut: int  # orders that the shield changed, refused or held
    note: str = ""  # what was unusual: a fallback, a policy that failed


def trace_id(session: str, number: int) -> str:
    """Of a decision: 32 hexadecimal digits, as W3C trace contexts have them. Never all zeros, which means none."""
    return _digest(session, number)[:32]


def _digest(session: str, number: int) -> str:
    return hashlib.sha256(f"{session}:{number}".encode()).hexdigest()


class Traces:
    """Writes decisions down.

    Args:
        session: its id.
        stages: names of what ``Decision.stages_ns`` measures.
        provider: of spans; None = the one that the process has configured, if it has (``opentelemetry-instrument``).
    """

    def __init__(self, session: str, stages: Sequence[str], provider: trace.TracerProvider | None = None) -> None:
        self._session, self._stages = session, tuple(stages)
        found = provider or trace.get_tracer_provider()
        configured = not isinstance(found, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
        self._tracer = found.get_tracer("shadowbook") if configured else None

    def write(self, decisions: Sequence[Decision]) -> None:
        """Log a batch, and emit its spans if anybody wants them."""
        logged = _LOG.isEnabledFor(logging.DEBUG)
        if not logged and self._tracer is None:
            return
        for one in decisions:
            digest, fields = _digest(self._session, one.number), self._fields(one)
            if logged:
                _LOG.debug("decision", extra={"trace_id": digest[:32], **fields})
            if self._tracer is not None:
                _emit(self._tracer, digest, one, fields)

    def _fields(self, one: Decision) -> dict[str, int | str]:
        fields: dict[str, int | str] = {
            "session": self._session, "decision": one.number, "began_ns": one.ns, "took_ns": one.took_ns,
            "orders": one.orders, "cut": one.cut,
        }  # fmt: skip
        fields.update((f"{name}_ns", ns) for name, ns in zip(self._stages, one.stages_ns, strict=True))
        if one.note:
            fields["note"] = one.note
        return fields


def _emit(tracer: trace.Tracer, digest: str, one: Decision, fields: dict[str, int | str]) -> None:
    """The trace's id comes with a parent that was never emitted: the API has no other way to choose it."""
    parent = trace.SpanContext(int(digest[:32], 16), int(digest[32:48], 16), is_remote=True, trace_flags=_SAMPLED)
    within = trace.set_span_in_context(trace.NonRecordingSpan(parent), context.Context())
    span = tracer.start_span("decision", within, start_time=one.ns, attributes=fields)
    span.end(one.ns + one.took_ns)
