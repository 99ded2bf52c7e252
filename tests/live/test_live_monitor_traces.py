"""A trace for every decision, JSON lines, and no secret in them."""

from __future__ import annotations

import hashlib
import json
import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from live.logs import keep_quiet_about, stop_writing, write_json_lines
from live.monitor.traces import Decision, Traces, trace_id
from live.secrets import Secret

STAGES = ("reading", "policy")
MADE = [Decision(0, 1_000, 70_000, (7_000, 18_000), 2, 1), Decision(1, 2_000, 60_000, (6_000, 17_000), 0, 0, "late")]


class Held:
    """Something that is no text, and tells a secret when it is written."""

    def __str__(self) -> str:
        return "holds sesame"


@pytest.fixture(autouse=True)
def quiet_about_nothing():
    """What a test keeps quiet about is not kept quiet for the next one."""
    root = logging.getLogger()
    before = {handler: (list(handler.filters), handler.level) for handler in root.handlers}
    yield
    for handler, (filters, level) in before.items():
        handler.filters[:] = filters
        handler.setLevel(level)


@pytest.fixture
def lines(tmp_path):
    """What has been logged, line by line."""
    handler = write_json_lines(tmp_path / "log.jsonl")
    yield lambda: [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    stop_writing(handler)


def test_a_decision_s_trace_follows_from_session_and_number():
    assert trace_id("kalshi-1", 7) == hashlib.sha256(b"kalshi-1:7").hexdigest()[:32]
    assert len({trace_id(session, number) for session in ("a", "b") for number in range(100)}) == 200


def test_decisions_are_lines_with_their_trace(lines):
    Traces("s", STAGES).write(MADE)
    first, second = lines()
    assert first["trace_id"] == trace_id("s", 0) and second["trace_id"] == trace_id("s", 1)
    assert (first["message"], first["level"], first["logger"]) == ("decision", "debug", "live.monitor.traces")
    kept = {name: first[name] for name in ("session", "decision", "began_ns", "took_ns", "orders", "cut")}
    assert kept == {"session": "s", "decision": 0, "began_ns": 1_000, "took_ns": 70_000, "orders": 2, "cut": 1}
    assert (first["reading_ns"], first["policy_ns"]) == (7_000, 18_000)
    assert "note" not in first and second["note"] == "late"


def test_decisions_are_nowhere_without_a_file_or_an_exporter(caplog):
    caplog.set_level(logging.INFO)
    Traces("s", STAGES).write(MADE)
    assert not caplog.records


def test_spans_where_somebody_wants_them():
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    Traces("s", STAGES, provider).write(MADE)
    spans = kept.get_finished_spans()
    assert [f"{one.context.trace_id:032x}" for one in spans] == [trace_id("s", 0), trace_id("s", 1)]
    assert [(one.name, one.start_time, one.end_time) for one in spans] == [
        ("decision", 1_000, 71_000), ("decision", 2_000, 62_000),
    ]  # fmt: skip
    assert spans[0].attributes["policy_ns"] == 18_000 and spans[1].attributes["note"] == "late"
    provider.shutdown()


def test_a_provider_that_does_nothing_is_none(monkeypatch):
    def unasked(*words, **named):
        raise AssertionError("a span was made that nobody wants")

    monkeypatch.setattr(trace.NoOpTracer, "start_span", unasked)
    Traces("s", STAGES, trace.NoOpTracerProvider()).write(MADE)


def test_stages_without_names_are_an_error(lines):
    with pytest.raises(ValueError, match="zip"):
        Traces("s", ("reading",)).write(MADE)


def test_no_secret_in_a_line_whoever_asked_and_whatever_holds_it(tmp_path):
    logger = logging.getLogger("live.somewhere")
    before, during = Secret("open sesame"), Secret("sesame")
    keep_quiet_about([before])
    for other in logging.getLogger().handlers:
        other.setLevel(logging.CRITICAL)  # what these let pass they would clean for all
    handler = write_json_lines(tmp_path / "log.jsonl")
    try:
        keep_quiet_about([during])
        logger.info("said %s", "open sesame", extra={"held": Held(), "nested": {"sesame": ["sesame"]}, "count": 5})
        try:
            raise ValueError("sesame")
        except ValueError:
            logger.exception("failed")
    finally:
        stop_writing(handler)
    text = (tmp_path / "log.jsonl").read_text("utf-8")
    said, failed = (json.loads(line) for line in text.splitlines())
    assert "sesame" not in text
    assert said["message"] == "said ***" and said["held"] == "holds ***" and said["count"] == 5
    assert "ValueError: ***" in failed["exception"]


def test_each_line_is_one_object_with_its_time(lines):
    logging.getLogger("live.x").warning("two\nlines", extra={"where": Held()})
    (line,) = lines()
    assert line["message"] == "two\nlines" and line["where"] == "holds sesame"
    assert line["time"].endswith("+00:00") and "T" in line["time"]
