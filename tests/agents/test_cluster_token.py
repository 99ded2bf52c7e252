"""The token of a Ray that is started here."""

from agents.cluster import keep_token


def test_a_token_is_made_closed_and_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    keep_token()
    token = tmp_path / ".ray" / "auth_token"
    made = token.read_text()
    assert token.stat().st_mode & 0o777 == 0o600 and len(made) == 64
    keep_token()
    assert token.read_text() == made


def test_a_token_that_anybody_may_read_is_closed(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    keep_token()
    assert token.stat().st_mode & 0o777 == 0o600 and token.read_text() == "secret"
