"""The Python examples of the documents run as they are written, in a process of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _examples():
    for document in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        for number, code in enumerate(BLOCK.findall(document.read_text(encoding="utf-8")), 1):
            yield pytest.param(code, id=f"{document.name}-{number}")


@pytest.mark.compiled
@pytest.mark.parametrize("code", [*_examples()])
def test_example_runs(code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_an_example_of_ten_lines():
    first = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))[0]
    assert len(first.strip().splitlines()) <= 12
