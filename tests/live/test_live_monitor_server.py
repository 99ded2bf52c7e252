"""The HTTP side on a real socket: what it tells, to whom, and who may throw the kill switch."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import time

import aiohttp
import msgspec
import pytest
from loopback import served
from monitored import NOW_NS, TOKEN, Session, monitored, view
from multidict import CIMultiDict
from prometheus_client.parser import text_string_to_metric_families

from live.clock import ManualClock
from live.monitor.gate import authorised, new_token, refusal
from live.monitor.metrics import Metrics
from live.monitor.server import MonitorServer
from live.monitor.view import View
from live.secrets import Secret
from sim.types import SECOND_NS

READ = ("", "page.css", "page.js", "view.json", "events", "metrics", "healthz", "readyz")
BEARER = {"Authorization": f"Bearer {TOKEN.reveal()}"}
BODY = {"reason": "a test"}


def asked(work, session: Session | None = None, clock: ManualClock | None = None):
    """What ``work(client, url)`` returns beside a monitor."""

    async def main():
        async with monitored(session or Session(), clock) as server, aiohttp.ClientSession() as client:
            return await work(client, server.url)

    return asyncio.run(main())


def statuses(method: str, paths, session: Session | None = None, **settings) -> list[int]:
    async def work(client, url):
        found = []
        for path in paths:
            async with client.request(method, url + path, **settings) as answer:
                found.append(answer.status)
        return found

    return asked(work, session)


def test_the_page_and_all_it_needs_come_from_here():
    async def work(client, url):
        async with client.get(url) as answer:
            page, headers = await answer.text(), answer.headers
        wanted = [part.split('"')[0] for mark in ('src="', 'href="') for part in page.split(mark)[1:]]
        assert sorted(wanted) == ["/icon.svg", "/page.css", "/page.js"]
        for name in ("icon.svg", "page.css", "page.js", "panels.js", "charts.js", "format.js"):
            async with client.get(url + name) as answer:
                text = await answer.text()
                assert answer.status == 200 and "http://" not in text.replace("http://www.w3.org/2000/svg", "")
                assert "https://" not in text and "@import" not in text
        return headers

    headers = asked(work)
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "'unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store" and headers["Server"] == "shadowbook"
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_view_json_is_the_view():
    async def work(client, url):
        async with client.get(url + "view.json") as answer:
            return await answer.read()

    assert msgspec.json.decode(asked(work), type=View) == view()


@pytest.mark.parametrize(
    "host", ["example.com", "127.0.0.1.example.com", "127.0.0.1:80:80", "localhost@evil", "", "[::1]"]
)
def test_another_host_is_refused_everywhere(host):
    """A name that an attacker's server makes point here is still that name in the Host header."""
    assert statuses("GET", READ, headers={"Host": host}) == [403] * len(READ)
    session = Session()
    assert statuses("POST", ["kill"], session, headers={"Host": host, **BEARER}, json=BODY) == [403]
    assert not session.killed


@pytest.mark.parametrize("origin", ["http://example.com", "null", "http://127.0.0.1:1", "https://localhost", "file://"])
def test_another_origin_is_refused_everywhere(origin):
    assert statuses("GET", READ, headers={"Origin": origin}) == [403] * len(READ)
    session = Session()
    assert statuses("POST", ["kill"], session, headers={"Origin": origin, **BEARER}, json=BODY) == [403]
    assert statuses("OPTIONS", ["kill"], session, headers={"Origin": origin}) == [403]  # a browser's preflight
    assert not session.killed


def test_what_a_browser_says_of_other_sites_is_believed():
    def why(path, **headers):
        return refusal(
            path, CIMultiDict({"Host": "127.0.0.1:99", **{k.replace("_", "-"): v for k, v in headers.items()}})
        )

    assert why("/view.json") == "" and why("/view.json", Sec_Fetch_Site="same-origin") == ""
    assert why("/kill", Origin="http://127.0.0.1:99") == ""
    for site in ("cross-site", "same-site", "anything"):  # another port of this machine is of the same site
        assert "another site" in why("/events", Sec_Fetch_Site=site)
        assert "another site" in why("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe")
        assert why("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document") == ""
    assert "Host" in refusal("/", CIMultiDict([("Host", "localhost"), ("Host", "localhost")]))
    assert "Host missing" in refusal("/", CIMultiDict())
    assert refusal("/", CIMultiDict({"Host": "LOCALHOST:5", "Origin": "http://localhost:5"})) == ""
    twice = CIMultiDict([("Host", "localhost"), ("Origin", "http://localhost"), ("Origin", "http://evil")])
    assert "Origin" in refusal("/", twice)


@pytest.mark.parametrize(
    "given",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN.reveal()}, {"Authorization": "Bearer "},
     {"Authorization": f"Digest {TOKEN.reveal()}"}, {"Authorization": f"Bearer {TOKEN.reveal()}x"}],
)  # fmt: skip
def test_a_command_without_the_token_is_refused(given, caplog):
    session = Session()
    assert statuses("POST", ["kill"], session, headers=given, json=BODY) == [401]
    assert not session.killed and "without the token" in caplog.text and TOKEN.reveal() not in caplog.text


def test_two_tokens_or_odd_bytes_are_none():
    assert authorised(CIMultiDict(BEARER), TOKEN)
    assert not authorised(CIMultiDict([*BEARER.items(), *BEARER.items()]), TOKEN)
    assert not authorised(CIMultiDict({"Authorization": "Bearer \udcff"}), TOKEN)


def test_the_kill_switch_is_thrown_by_post_alone():
    session = Session()
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert statuses(method, ["kill"], session, headers=BEARER, json=BODY) == [405]
    assert not session.killed
    assert statuses("POST", ["kill"], session, headers=BEARER, json=BODY) == [200]
    assert session.killed == ["a test"] and session.look().killed


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400), (b"{}", "application/json", 400), (b'{"reason": ""}', "application/json", 400),
        (b'{"reason": "x", "more": 1}', "application/json", 400), (b'{"reason": 5}', "application/json", 400),
        (b"\xff", "application/json", 400), (json.dumps({"reason": "x" * 201}).encode(), "application/json", 400),
        (json.dumps({"reason": "x" * 5_000}).encode(), "application/json", 413),
        (b'{"reason": "x"}', "text/plain", 415), (b"reason=x", "application/x-www-form-urlencoded", 415),
    ],
)  # fmt: skip
def test_a_kill_order_is_small_json(body, kind, status):
    session = Session()
    assert statuses("POST", ["kill"], session, headers={**BEARER, "Content-Type": kind}, data=body) == [status]
    assert not session.killed


def test_a_kill_that_fails_is_told_and_logged(caplog):
    session = Session()

    async def fails(reason):
        raise RuntimeError("the venue does not answer")

    session.kill = fails
    assert statuses("POST", ["kill"], session, headers=BEARER, json=BODY) == [500]
    assert "the venue does not answer" in caplog.text


def test_ready_and_healthy_say_why_not():
    async def work(client, url):
        found = []
        for path in ("healthz", "readyz"):
            async with client.get(url + path) as answer:
                found.append((answer.status, await answer.json()))
        return found

    session = Session()
    assert asked(work, session) == [(200, {"alive": True, "reasons": []}), (200, {"ready": True, "reasons": []})]
    session.view = view(ready=("the feed is not live",))
    assert asked(work, session)[1] == (503, {"ready": False, "reasons": ["the feed is not live"]})
    late = "the runner has shown nothing new for 11 s"
    found = asked(work, session, ManualClock(NOW_NS + 11 * SECOND_NS))
    assert found[0] == (503, {"alive": False, "reasons": [late]})
    assert found[1] == (503, {"ready": False, "reasons": [late, "the feed is not live"]})


def test_events_tell_each_new_view():
    session, clock = Session(), ManualClock(NOW_NS)

    async def work(client, url):
        async with client.get(url + "events") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            events = [await answer.content.readuntil(b"\n\n")]
            for decisions in (5_000, None, 6_000):
                if decisions is not None:
                    session.view = view(decisions=decisions)
                while not clock.sleepers:
                    await asyncio.sleep(0)
                clock.advance(1.0)
                events.append(await answer.content.readuntil(b"\n\n"))
            return events

    events = asked(work, session, clock)
    assert events[2] == b": nothing new\n\n"
    told = [json.loads(one.removeprefix(b"data: "))["decisions"] for one in events if one.startswith(b"data: ")]
    assert told == [4_321, 5_000, 6_000]


def test_a_stream_that_is_open_does_not_hold_up_the_end_and_there_are_not_too_many():
    async def work(client, url):
        streams = [await client.get(url + "events") for _ in range(17)]
        for stream in streams[:16]:
            await stream.content.readuntil(b"\n\n")
        for stream in streams[1:]:
            stream.close()
        return [stream.status for stream in streams]

    began = time.monotonic()
    assert asked(work) == [200] * 16 + [503]
    assert time.monotonic() - began < 3  # a command under way would be given five seconds


def test_metrics_as_prometheus_reads_them():
    async def work(client, url):
        async with client.get(url + "metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return await answer.text()

    families = text_string_to_metric_families(asked(work))
    found = {(s.name, *sorted(s.labels.items())): s.value for one in families for s in one.samples}
    agent = (("account", "agent"), ("role", "executes"))
    assert found["shadowbook_decisions_total",] == 4_321
    assert found["shadowbook_events_total", ("name", "frames")] == 123_456
    assert found["shadowbook_ask_dollars", ("market", "KXBTC-A")] == 0.53
    assert ("shadowbook_bid_dollars", ("market", "KXBTC-B")) not in found  # no bid there
    assert found["shadowbook_book_lost", ("market", "KXBTC-B")] == 1
    assert found["shadowbook_book_age_seconds", ("market", "KXBTC-A")] == 0.4
    assert found["shadowbook_result_dollars", *agent] == 14.95
    assert found["shadowbook_fills_total", *agent] == 12
    assert found["shadowbook_regime", agent[0], ("regime", "warning"), agent[1]] == 1
    held = (agent[0], ("leg", "yes"), ("market", "KXBTC-A"), agent[1])
    assert found["shadowbook_position_contracts", *held] == 25
    assert found["shadowbook_check_ok", ("check", "shield quiet")] == 0
    assert found["shadowbook_check_ok", ("check", "feed fresh")] == 1
    assert ("shadowbook_check_ok", ("check", "in-force times kept")) not in found
    assert found["shadowbook_stage_seconds", ("quantile", "0.5"), ("stage", "policy")] == 18e-6
    assert found["shadowbook_decision_seconds_bucket", ("le", "7.5e-05")] == 50  # 69.4 us; one of 167.8 us
    assert found["shadowbook_decision_seconds_bucket", ("le", "0.0002")] == 51
    assert found["shadowbook_decision_seconds_sum",] == pytest.approx((50 * 69.4 + 167.8) * 1e-6)


def test_two_runners_have_metrics_of_their_own():
    one, other = Metrics(view), Metrics(view)
    one.observe([1_000])
    assert b"shadowbook_decision_seconds_count 1.0" in one.exposition()
    assert b"shadowbook_decision_seconds_count 0.0" in other.exposition()


def test_the_token_lies_in_an_owner_only_file_and_in_no_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    token = new_token(tmp_path / "token")
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert (tmp_path / "token").read_text() == token.reveal() and len(token.reveal()) >= 43  # 32 bytes
    with pytest.raises(FileExistsError):
        new_token(tmp_path / "token")

    async def main():
        session = Session()
        async with MonitorServer(
            session.look, session.kill, Metrics(session.look), token, ManualClock(NOW_NS)
        ) as server:
            assert server.link == f"{server.url}#token={token.reveal()}" and server.url.startswith("http://127.0.0.1:")
            async with aiohttp.ClientSession() as client, client.get(server.link) as answer:
                assert answer.status == 200
            kill = {"Authorization": f"Bearer {token.reveal()}"}
            async with (
                aiohttp.ClientSession() as client,
                client.post(server.url + "kill", json=BODY, headers=kill) as answer,
            ):
                assert answer.status == 200

    asyncio.run(main())
    assert "'a test'" in caplog.text and token.reveal() not in caplog.text


def test_a_port_that_is_taken_is_an_error():
    async def main():
        async def nothing(request):
            raise AssertionError

        session = Session()
        async with served(nothing) as url:
            port = int(url.split(":")[2].split("/")[0])
            clock = ManualClock(NOW_NS)
            with pytest.raises(OSError, match="address already in use"):
                await MonitorServer(
                    session.look, session.kill, Metrics(session.look), Secret("a token"), clock, port
                ).__aenter__()

    asyncio.run(main())
