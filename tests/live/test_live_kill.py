"""A recorder that is killed loses nothing that it has acknowledged; ``python -m benchmarks recorder_kill`` goes on."""

from __future__ import annotations

import pytest
from recorded import Clock

from benchmarks import recorder_kill
from benchmarks.recorder import header_of
from live.recording.layout import RECEIVED
from live.recording.rotation import SessionWriter

KILLS = 10


def test_killed_recorders_lose_nothing_that_they_acknowledged(tmp_path):
    result = recorder_kill.measure(KILLS, seed=1, root=tmp_path)
    assert result["kills"] == KILLS
    assert result["records"] >= result["acknowledged"] > 0
    assert result["segments"] >= KILLS


def test_the_proof_notices_a_lost_record(tmp_path):
    writer = SessionWriter(tmp_path, recorder_kill.SESSION, header_of(1), Clock())
    for number in range(100):
        writer.append(number, 1, RECEIVED, recorder_kill.frame(number))
    kept = writer.close()
    assert recorder_kill.check(tmp_path, kept) == {"records": 100, "segments": 1, "torn_segments": 0}
    whole = writer.path.read_bytes()
    writer.path.write_bytes(whole[:-1])
    with pytest.raises(AssertionError, match="0 records, but 100 were acknowledged"):
        recorder_kill.check(tmp_path, kept)
    writer.path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(AssertionError, match="CRC32"):
        recorder_kill.check(tmp_path, kept)
