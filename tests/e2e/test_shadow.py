"""``shadow.py`` as a user runs it, in a process of its own: what is left behind, and that no key is in any of it."""

import asyncio
import contextlib
import json
import re
import shutil
import threading
from pathlib import Path

import pytest
from entry_points import call

import shadow as entry
from configs.beside import digest_of, maker_of, policy_of
from live.clock import SystemClock
from live.fake.guard import KalshiGuard, new_kalshi_key
from live.fake.kalshi import SOCKET_PATH, KalshiVenue
from live.fake.market import Synthetic, synthetic
from live.fake.server import FakeVenue
from live.recording.log import read_log
from live.shadow.__main__ import main as table
from sim.scenarios import synthetic as scenario_of
from sim.tape import read

ROOT = Path(__file__).resolve().parents[2]
KEY_ID = "planted-key-id-5f0c"


class Venue:
    """A fake Kalshi in a thread, which knows one RSA key."""

    def __init__(self):
        clock = SystemClock()
        self.pem, public = new_kalshi_key("rsa")
        told = synthetic("kalshi", clock.now_ns(), 0, Synthetic(2, rounds=1, life_s=600.0))
        self.venue = KalshiVenue(told, clock, KalshiGuard({KEY_ID: public}, clock))
        self.ready, self.words, self.loop = threading.Event(), [], asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.running.cancel)
        self.thread.join(10)
        self.loop.close()

    def _serve(self):
        asyncio.set_event_loop(self.loop)

        async def main():
            async with FakeVenue(self.venue) as fake:
                names = ",".join(one.market.id for one in self.venue.listings)
                self.words = [
                    f"rest={fake.url}/trade-api/v2", f"socket={fake.socket_url}{SOCKET_PATH}", f"markets=[{names}]"
                ]  # fmt: skip
                self.ready.set()
                await fake.run()

        self.running = self.loop.create_task(main())
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self.running)


def shadow(cwd, *words, **environ):
    return call("shadow.py", *words, cwd=cwd, environment=environ)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A session of three seconds with a planted key: where, what was printed, and the key."""
    cwd, keys = tmp_path_factory.mktemp("cwd"), tmp_path_factory.mktemp("keys")
    with Venue() as venue:
        file = keys / "key.pem"
        file.write_text(venue.pem.reveal())
        file.chmod(0o600)
        done = shadow(
            cwd, "checkpoint=baseline:imbalance", "venue=kalshi", *venue.words, "minutes=0.05", "name=one",
            "page.port=0", "checks.latency_p99=1e9",
            SHADOWBOOK_KALSHI_KEY_ID=KEY_ID, SHADOWBOOK_KALSHI_PRIVATE_KEY_FILE=str(file),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return cwd, done, venue.pem.reveal()


@pytest.mark.compiled
def test_a_session_leaves_what_it_says_and_no_key(ran):
    cwd, done, pem = ran
    folder = cwd / "shadow" / "one"
    # nobody looks at a pipe: where the token lies is said, and not what it is
    assert re.search(
        r"^page       http://127\.0\.0\.1:\d+/, token in shadow/one/page-token$", done.stdout, re.MULTILINE
    )
    token = (folder / "page-token").read_text()
    left = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    for path in cwd.rglob("*"):
        if path.is_file() and path.name != "page-token":
            left[str(path.relative_to(cwd))] = path.read_bytes()
            if path.suffix == ".zst":
                left[f"{path.name}, decompressed"] = b"\n".join(record.data for record in read_log(path))
    assert len(left) >= 11 and left["one-000001.zst, decompressed"].count(b"orderbook") > 10
    body = [line for line in pem.splitlines() if line and "-----" not in line]
    assert len(body) > 20
    for secret in [*body, "".join(body), "PRIVATE KEY", KEY_ID, "KALSHI-ACCESS", token]:
        assert [where for where, data in left.items() if secret.encode() in data] == []


@pytest.mark.compiled
def test_what_it_leaves_is_whole(ran):
    cwd, done, _ = ran
    folder = cwd / "shadow" / "one"
    said, summary = (json.loads((folder / name).read_bytes()) for name in ("session.json", "summary.json"))
    assert [seat["name"] for seat in said["seats"]] == ["baseline", "policy"]
    assert said["config"]["checkpoint"] == "baseline:imbalance" and said["versions"]["numpy"]
    assert summary["why"] == "0.05 minutes are up" and summary["decisions"] >= 2
    assert (folder / "summary.txt").read_text() in done.stdout
    assert len([read(path) for path in (folder / "tapes").glob("*.parquet")]) == 2
    assert sorted(path.name for path in cwd.iterdir()) == ["shadow"]  # nothing of Hydra's


@pytest.mark.compiled
def test_it_plays_again_and_becomes_a_table(ran, capsys):
    cwd, _, _ = ran
    again = shadow(cwd, "replay=shadow/one")
    assert again.returncode == 0 and again.stdout.endswith("all the same\n")
    assert table(["table", str(cwd / "shadow" / "one")]) == 0
    assert "decisions.parquet" in capsys.readouterr().out


@pytest.mark.compiled
def test_another_policy_of_that_name_does_not_play_it(ran, tmp_path):
    cwd, _, _ = ran
    folder = tmp_path / "one"
    shutil.copytree(cwd / "shadow" / "one", folder)
    said = (folder / "session.json").read_bytes()
    (folder / "session.json").write_bytes(said.replace(b'"baseline:imbalance"', b'"baseline:random"'))
    with pytest.raises(ValueError, match="baseline:random: is another policy now than"):
        entry._replay(str(folder))


@pytest.mark.compiled
def test_what_cannot_be_is_said_in_a_line(tmp_path):
    done = shadow(tmp_path, "checkpoint=nowhere", "markets=[A]")
    assert done.returncode == 1 and "nowhere: no run is there; expected checkpoints/RUN" in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


# Who is loaded


def test_a_digest_says_which_parameters(tmp_path):
    assert digest_of("baseline:quoter") == "quoter"
    file = tmp_path / "p.json"
    file.write_text('{"b": 2, "a": 1}')
    assert digest_of(f"baseline:quoter@{file}") == "quoter?a=1.0&b=2.0" == digest_of("baseline:quoter?b=2&a=1")


def test_rows_have_no_place_beside_a_surface():
    sheet = maker_of("baseline:imbalance", None, 0)[1](scenario_of(), 1, None).spec_sheet
    assert policy_of("baseline:quoter", sheet, 0).name == "quoter"
    surface = sheet | {"action_form": "surface", "rows": sheet["actions"]}
    with pytest.raises(ValueError, match=r"quoter chooses rows of a table, .*: baseline=fixed"):
        policy_of("baseline:quoter", surface, 0)
