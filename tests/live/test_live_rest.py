"""The REST client against real servers on loopback: refusals, torn and endless answers, deadlines, certificates."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from loopback import Answers, Handler, Instant, client_of, served

from live.clock import ManualClock, SystemClock
from live.errors import VenueError
from live.limits import LimitRule, Rate
from live.secrets import Secret


def ask(handler: Handler, *arguments, settings=None, **keywords):
    """One request to a server that answers by ``handler``: its result or error, and the client's counts and clock."""
    settings = settings or {}
    clock = settings.setdefault("clock", Instant())

    async def main():
        async with served(handler) as url, client_of(url, **settings) as client:
            try:
                return await client.request(*arguments, **keywords), client.counts, clock
            except VenueError as error:
                return error, client.counts, clock

    return asyncio.run(main())


def test_an_answer_is_parsed_and_the_request_is_as_asked():
    server = Answers((200, {"a": ["0.1", 2]}))
    said, counts, _ = ask(server, "GET", "/books", params=[("t", "A"), ("t", "B,C")])
    assert said == {"a": ["0.1", 2]} and counts == {"requests": 1}
    assert server.seen[0][:3] == ("GET", "/api/books?t=A&t=B,C", "")


def test_an_answer_without_a_body_is_none():
    assert ask(Answers((204, "")), "DELETE", "/x")[0] is None


def test_signed_is_the_path_from_the_root_without_query_and_the_body_as_sent():
    class Signer:
        secrets = (Secret("very-secret"),)

        def __init__(self):
            self.signed = []

        def headers(self, method, path, body=b""):
            self.signed.append((method, path, body))
            return {"X-Sign": "s"}

    signer, server = Signer(), Answers((401, {"error": {"code": "no", "message": "key very-secret is unknown"}}))
    error, _, _ = ask(server, "POST", "/o", params=[("q", "1")], body={"b": 1}, settings={"signer": signer})
    assert signer.signed == [("POST", "/api/o", b'{"b":1}')]
    assert server.seen[0][2] == '{"b":1}' and server.seen[0][3]["X-Sign"] == "s"
    assert "very-secret" not in str(error) and "check the key" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (429, {"error": "too many requests"}, "", "too many requests"),
        (429, {"error": {"code": "too_many_requests", "message": "slow down"}}, "too_many_requests", "slow down"),
        (400, {"code": "bad", "message": "no"}, "bad", "no"),
        (503, {"error": "post-only mode", "code": "post_only_mode", "retry_after_seconds": 79}, "post_only_mode",
         "post-only mode"),
        (404, "<html>not here</html>", "", "<html>not here</html>"),
        (500, "", "", ""),
        (500, "x" * 5_000, "", "x" * 300 + "..."),
        (502, [1, 2], "", "[1, 2]"),
        (400, {"error": None}, "", ""),
        (301, "moved", "", "moved"),
    ],
)  # fmt: skip
def test_refusals_of_every_shape(status, body, code, message):
    error, counts, _ = ask(Answers((status, body)), "POST", "/o", body={})
    assert (error.status, error.code, error.message) == (status, code, message)
    assert counts == {"requests": 1, str(status): 1, "failures": 1}  # a POST without a key is not sent twice


@pytest.mark.parametrize("status", [425, 429, 500, 502, 503, 504])
def test_a_passing_refusal_is_tried_again(status):
    server = Answers((status, {"error": "later"}), (status, {"error": "later"}), (200, {"ok": True}))
    said, counts, clock = ask(server, "GET", "/x")
    assert said == {"ok": True}
    assert (counts["requests"], counts["retries"], counts[str(status)]) == (3, 2, 2)
    assert len([wait for wait in clock.slept if wait < 2]) >= 2  # the backoff's waits: up to 0.5 and up to 1 s


def test_attempts_end():
    error, counts, _ = ask(Answers((503, {"error": "x"})), "GET", "/x", settings={"attempts": 3})
    assert error.status == 503 and "try later" in str(error)
    assert counts == {"requests": 3, "503": 3, "retries": 2, "failures": 1}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410])
def test_a_refusal_for_good_is_not_tried_again(status):
    error, counts, _ = ask(Answers((status, {"error": "no"})), "GET", "/x")
    assert (error.status, counts["requests"]) == (status, 1) and error.advice


@pytest.mark.parametrize(
    ("keywords", "sent"),
    [({}, 1), ({"asks_only": True}, 2), ({"idempotency_key": "mine-1"}, 2)],
)
def test_a_post_is_sent_twice_only_where_that_is_safe(keywords, sent):
    server = Answers((500, "x"), (200, {}))
    _, counts, _ = ask(server, "POST", "/o", body={"client_order_id": "mine-1"}, **keywords)
    assert counts["requests"] == len(server.seen) == sent


def test_a_key_that_the_venue_does_not_see_is_an_error():
    async def main():
        async with client_of("http://127.0.0.1:9") as client:
            with pytest.raises(ValueError, match="lacks the idempotency key"):
                await client.request("POST", "/o", body={"a": 1}, idempotency_key="mine-1")

    asyncio.run(main())


def test_post_only_mode_is_waited_for_if_that_helps():
    body = {"error": "post-only", "code": "post_only_mode", "retry_after_seconds": 20}
    said, _, clock = ask(Answers((503, body), (200, {"ok": 1})), "GET", "/x")
    assert said == {"ok": 1} and max(clock.slept) == 20
    error, counts, _ = ask(Answers((503, {**body, "retry_after_seconds": 79})), "GET", "/x")  # the deadline is 30 s
    assert (error.retry_after_s, counts["requests"]) == (79, 1)


def test_a_refusal_for_asking_too_often_empties_the_bucket():
    rules = (LimitRule("all", (), "/*", Rate(10, 2)),)
    clock = Instant()
    ask(Answers((429, {"error": "x"}), (200, {})), "GET", "/x", settings={"clock": clock, "rules": rules})
    # at most 0.5 s of backoff; a token at 2 a second takes half a second from the refusal on
    assert clock.monotonic_ns() == 500_000_000


async def _hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


def test_a_server_that_does_not_answer_is_given_up_on_the_injected_clock():
    clock = ManualClock()

    async def main():
        async with served(_hang) as url, client_of(url, clock=clock, attempts=9) as client:
            task = asyncio.create_task(client.get("/x"))
            while not task.done():
                await asyncio.sleep(0.005)  # real sockets need real time
                clock.advance(1)
            return task.exception(), client.counts

    error, counts = asyncio.run(main())
    assert (error.status, error.code) == (0, "deadline") and "30 s" in str(error)
    # 10 s each: the third attempt is cut off by the deadline
    assert 30 <= clock.monotonic_ns() / 1e9 <= 32 and counts["connection"] == 2


async def _torn(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"a": ')
    request.transport.close()
    return answer


def test_a_torn_answer_is_a_connection_error_and_tried_again():
    error, counts, _ = ask(_torn, "GET", "/x", settings={"attempts": 2})
    assert (error.status, error.code, counts["requests"]) == (0, "connection", 2)


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await answer.write(b" " * 10_000)
    return answer


async def _bomb(request: web.Request) -> web.StreamResponse:
    answer = web.Response(body=b" " * 10_000_000)
    answer.enable_compression(web.ContentCoding.gzip)  # 10 kB on the wire
    return answer


@pytest.mark.parametrize("server", [_endless, _bomb])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(server):
    error, counts, _ = ask(server, "GET", "/x", settings={"max_bytes": 100_000})
    assert (error.code, counts["requests"]) == ("too_large", 1) and "100000 bytes" in str(error)


@pytest.mark.parametrize("body", ["<html>", '{"a": 1', "nul", "[" * 100_000, '{"a": 1} x'])
def test_an_answer_that_is_no_json(body):
    error, counts, _ = ask(Answers((200, body)), "GET", "/x")
    assert (error.status, error.code, counts["requests"]) == (200, "not_json", 1)


def test_nobody_listens():
    async def main():
        async with client_of("http://127.0.0.1:1", attempts=2) as client:
            await client.get("/x")

    with pytest.raises(VenueError, match="check the network") as raised:
        asyncio.run(main())
    assert raised.value.code == "connection"


def test_a_redirect_is_not_followed():
    seen = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        raise web.HTTPFound("/elsewhere")

    error, _, _ = ask(redirect, "GET", "/x")
    assert error.status == 302 and seen == ["/api/x"] and "redirects are not followed" in str(error)


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate of 127.0.0.1: its file, and a server's context."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context


def _over_tls(context: ssl.SSLContext) -> tuple[object, list]:
    server = Answers((200, {"ok": 1}))

    async def main():
        async with served(server, context) as url, client_of(url, clock=SystemClock()) as client:
            try:
                return await client.get("/x")
            except VenueError as error:
                return error

    return asyncio.run(main()), server.seen


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    error, seen = _over_tls(certificate[1])
    assert isinstance(error, VenueError) and error.code == "tls" and "not the venue" in str(error)
    assert seen == []  # not a byte of a request went out


def test_the_same_certificate_is_taken_where_the_system_trusts_it(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert _over_tls(certificate[1])[0] == {"ok": 1}


def test_a_plain_connection_to_another_host_cannot_be_made():
    with pytest.raises(ValueError, match="not encrypted"):
        client_of("http://venue.example")


def test_a_client_that_was_not_opened_says_so():
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(client_of("http://127.0.0.1:1").get("/x"))
