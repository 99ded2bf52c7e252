"""Splits by name, facts of recorded markets and the command line, on the installed sample and the recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streams import by_hand, random_stream, row, stream

from sim.importers import convert, resolvedkit
from sim.scenarios import realism, recordings, splits
from sim.scenarios.distance import compare, share_passed
from sim.scenarios.facts import fact_names
from sim.scenarios.samples import Sampler
from sim.scenarios.splits import SETS, Rule, Source, market_of, rule_of
from sim.scenarios.trace import FAMILIES, Feed, trace
from sim.tape import write
from sim.types import BID, CLEAR, LEVEL, TRADE

SAMPLE = splits.MarketSet("the sample", (SETS["polymarket_crypto"].sources[0],))


@pytest.fixture
def sample(monkeypatch):
    """A set that consists of the installed sample only."""
    monkeypatch.setitem(SETS, "sample", SAMPLE)
    return "sample"


def test_every_tape_of_the_sample_is_fitted_or_reported_on():
    source = SAMPLE.sources[0]
    uses = [rule_of(source, name).use for name, _ in convert(resolvedkit.WORD).tapes]
    assert (uses, len(uses)) == (sorted(uses), 18)  # fitted first, reported on later
    assert uses.count("fit") == 9


def test_no_part_is_both_fitted_and_reported_on():
    for name, market in SETS.items():
        for source in market.sources:
            uses: dict[str, set[str]] = {}
            for rule in source.rules:
                if rule.part:
                    uses.setdefault(rule.part, set()).add(rule.use)
            assert all(len(found) == 1 for found in uses.values()), name
            assert source.halves or {use for found in uses.values() for use in found} == {"fit", "report"}, name
            assert source.feed.families <= set(FAMILIES)


def test_sources_that_are_pooled_are_seen_alike():
    """Families of several sources are computed under the first one's feed: the others must be seen the same way."""
    for market in SETS.values():
        for family in FAMILIES:
            feeds = {s.feed._replace(families=frozenset()) for s in market.sources if family in s.feed.families}
            assert len(feeds) <= 1


def test_a_tape_that_no_rule_names_is_refused():
    source = Source("there", Feed(), (Rule("MAY13", "13 May"), Rule("MAY14", "14 May", "report")))
    assert rule_of(source, "X-MAY14-1").use == "report"
    with pytest.raises(ValueError, match=r"there: no rule says whether the tape 'X-MAY15-1' is fitted or reported on"):
        rule_of(source, "X-MAY15-1")


def test_which_tapes_are_one_market():
    nba, ncaab = (source for source in SETS["kalshi_sports"].sources)
    sides = {market_of(nba, f"Kalshi_{side}_JAN07_WIN{part}") for side in ("BOS", "DEN") for part in ("", "_2")}
    assert len(sides) == 1 and market_of(nba, "Kalshi_LAC_JAN07_WIN") not in sides
    assert market_of(ncaab, "Kalshi_Kentucky_3") == market_of(ncaab, "Kalshi_Missouri")
    window = SETS["kalshi_crypto"].sources[0]
    assert market_of(window, "KXBTC15M-26MAY140045-45_2") == "KXBTC15M-26MAY140045"
    bracket = SETS["kalshi_weather"].sources[0]
    assert market_of(bracket, "KXHIGHNY-25DEC05-B30.5") == "KXHIGHNY-25DEC05"
    assert market_of(SETS["polymarket_sports"].sources[0], "mlb-cle-sf-2025-06-17") == "mlb-cle-sf-2025-06-17"


def test_unknown_market():
    with pytest.raises(ValueError, match="no recorded market 'kalshi'; expected one of kalshi_crypto"):
        recordings.load("kalshi", Path())


@pytest.mark.compiled
def test_the_sample_against_itself(sample, tmp_path, capsys):
    """Its reported windows, written as tapes and read back as a synthetic market, are the recorded market."""
    reported = recordings.load(sample, Path())
    names = {piece.tape for piece in reported.only("report")}
    tapes = [(name, tape) for name, tape in convert(resolvedkit.WORD).tapes if name in names]
    for name, tape in tapes:
        market = tape.header.markets[0]
        inside = tape.events[(tape.events["local_ns"] >= market.open_ns) & (tape.events["local_ns"] < market.close_ns)]
        assert len(inside) < len(tape.events)
        write(tmp_path / "tapes" / f"{name}.parquet", tape)
    assert realism.main([str(tmp_path / "tapes"), str(tmp_path), "--set", sample, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "comparable facts within 1.5 yardsticks" in text
    assert "classifier, synthetic from recorded: AUC 0." in text
    assert "not comparable: message_rate/0-5: recorded: the feed does not show messages" in text
    rows = json.loads((tmp_path / "out" / sample / "comparison.json").read_text())
    assert [row["name"] for row in rows] == list(fact_names())
    assert {path.name for path in (tmp_path / "out" / sample).iterdir()} == {
        "recorded.json", "synthetic.json", "comparison.json", "by_price.png", "overall.png", "distances.png",
    }  # fmt: skip


@pytest.mark.compiled
def test_the_reported_windows_are_at_no_distance_from_themselves(sample):
    recording = recordings.load(sample, Path())
    report = realism.judge(recording, None)
    facts = recordings.facts_of_pieces(sample, recording.only("report"))
    assert facts == report.recorded
    again = compare([(facts, facts)], report.measures)
    assert share_passed(again)[0] == share_passed(again)[1] > 20
    assert all(one.distance == 0.0 for one in again if one.verdict == "pass")
    assert len(report.alone) == realism.SEEDS
    assert report.baseline is not None and report.told_apart is None
    passed, comparable = share_passed(report.comparisons)
    assert 0.8 * comparable <= passed <= comparable  # four stretches of one morning
    assert recording.only("fit") and not set(recording.only("fit")[0].tape) & {
        piece.tape for piece in recording.only("report")
    }


def test_a_synthetic_stream_is_seen_through_the_recording(sample):
    events = random_stream(4, 3000, with_gaps=False)
    facts = recordings.facts_as(sample, [events])
    assert tuple(facts) == fact_names()
    assert facts["depth/40-50"].parts[:4] == ("bid1", "bid2", "bid3", "bid5")  # five levels are shown, no tenth
    assert facts["interarrival"].missing == "the feed does not show messages"
    assert facts["trade_size"].missing == "the feed does not show trades"
    direct = recordings.facts_of_pieces(
        sample, [recordings.Piece("x", 0, "p", "report", trace(events, SAMPLE.sources[0].feed))]
    )
    assert facts == direct


def test_views_are_for_the_recording_only(monkeypatch):
    """A recording of whole books is compared with a synthetic market's depth on a clock."""
    feed = Feed(frozenset({"depth"}), views=True)
    monkeypatch.setitem(SETS, "books", splits.MarketSet("", (Source("x", feed, ()),)))
    assert recordings.facts_as("books", [by_hand()])["depth/40-50"].basis == "seconds"
    pieces = [recordings.Piece("x", 0, "p", "report", trace(by_hand(), feed))]
    assert recordings.facts_of_pieces("books", pieces)["depth/40-50"].basis == "books"


def test_a_market_is_cut_to_its_window_and_halves(monkeypatch, tmp_path):
    """The sample's tapes begin a quarter of an hour before their window."""
    source = SAMPLE.sources[0]._replace(halves=True)
    monkeypatch.setitem(SETS, "halved", splits.MarketSet("", (source,)))
    monkeypatch.setattr(recordings, "convert", lambda path: convert(path)._replace(tapes=_first(2)))
    halved = recordings.load("halved", tmp_path)
    assert [piece.use for piece in halved.pieces] == ["fit", "report"] * 2
    for piece in halved.pieces:
        market = dict(_first(2))[piece.tape].header.markets[0]
        assert piece.trace.end_ns <= market.close_ns
        assert (piece.trace.state_ns >= market.open_ns).all()


def _first(count):
    return [item for _, item in zip(range(count), convert(resolvedkit.WORD).tapes, strict=False)]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere", "data"], "no tapes"),
        (["recorded", "nowhere", "--set", "kalshi_sports"], "no such file or folder"),
    ],
)
def test_the_command_refuses(arguments, message, tmp_path, capsys):
    assert realism.main([arguments[0], str(tmp_path / arguments[1]), *arguments[2:]]) == 1
    assert message in capsys.readouterr().err


def test_too_little_for_the_classifier_is_said(sample, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recordings, "convert", lambda path: convert(path)._replace(tapes=_first(18)[::6]))
    rows = [row(0, CLEAR, end=False), row(0, LEVEL, BID, 4000, 1, end=False), row(0, LEVEL, 1, 4200, 1)]
    rows += [row(second, TRADE, BID, 4200, 1) for second in range(1, 100)]
    report = realism.judge(recordings.load(sample, tmp_path), [[stream(*rows)]])
    assert report.told_apart is None and "expected at least 20" in report.why_not[0]
    assert report.synthetic["spread/40-50"].values == (2.0,) * 4


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["kalshi_sports", "polymarket_sports", "polymarket_crypto"])
def test_recorded_markets(recordings_folder, name):
    recording = recordings.load(name, recordings_folder)
    facts = recordings.facts_of_pieces(name, recording.only("report"))
    measures = Sampler(recording).yardsticks(draws=4)
    assert tuple(facts) == fact_names()
    assert sum(fact.known for fact in facts.values()) >= 30
    assert all(
        np.isfinite(one.distance) and one.distance >= 0 and one.pairs >= 1 <= one.distance / max(one.noise, 1e-300)
        for one in measures.values()
    )


@pytest.fixture
def recordings_folder(request):
    """The fixture ``recordings``, whose name the module under test has here."""
    return request.getfixturevalue("recordings")
