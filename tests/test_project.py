"""Rules that hold for the repository as a whole."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
NOT_INSTALLED = ("tests", "benchmarks")  # run from a checkout only
LONGEST = 400  # lines of a file
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

# Not in any file: registry hosts, builds pinned by a local version, places of one machine, tools of one workplace
FORBIDDEN = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"https?://[\w.-]*(pypi|pythonhosted|npmjs|debian)\.(org|com)",
        r"==\d[\w.]*\+cpu",
        r"(?<![\w.$/])/(home|root|work|Users|opt)/",
        r"\.library/",
        r"\b(claude|anthropic|chatgpt|copilot|language model)\b",
    )
]
DATA_FOLDER = re.compile(r"\.\./shared|/ ?\"shared\"")  # where tests look for recordings, and nothing else does


def _tracked() -> list[Path]:
    """Files that are in the repository, or will be once they are added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}", allow_module_level=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # data


TRACKED = _tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]
DOCUMENTS = [path for path in TRACKED if path.suffix == ".md"]
README = ROOT / "README.md"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def _decorators(function: ast.FunctionDef) -> set[str]:
    named = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return {node.id for node in named if isinstance(node, ast.Name)}


def _kernel_decorators() -> set[str]:
    """The public functions of sim.kernel, and sim.backtest's for strategies."""
    functions = _functions(ROOT / "sim" / "kernel.py")
    return {function.name for function in functions if not function.name.startswith("_")} | {"strategy"}


def _functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(_text(path))) if isinstance(node, ast.FunctionDef)]


def test_only_one_file_compiles():
    compilers = re.compile(r"\b(njit|numba\.(jit|vectorize|guvectorize|cfunc|stencil))\b")
    found = [_name(path) for path in PYTHON if compilers.search(_text(path)) and path != Path(__file__)]
    assert found == ["sim/kernel.py"]


def test_every_function_but_kernels_is_annotated():
    bare = []
    kernels = _kernel_decorators()
    for path in PYTHON:
        if _package(path) not in {name.split(".")[0] for name in PACKAGES}:
            continue
        for function in _functions(path):
            if _decorators(function) & kernels:
                continue
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            missing = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            if missing or function.returns is None:
                bare.append(f"{_name(path)}:{function.lineno} {function.name}({', '.join(missing)})")
    assert not bare, "\n".join(["functions without annotations:", *bare])


def test_the_largest_number_of_markets_is_said_in_one_place():
    said = re.compile(r"^MAX_MARKETS\b.*=", re.MULTILINE)
    assert [_name(path) for path in PYTHON if said.search(_text(path))] == ["sim/scenarios/portfolio.py"]


def test_packages_are_those_listed():
    folders = {
        _name(path.parent).replace("/", ".")
        for path in PYTHON
        if path.name == "__init__.py" and _package(path) not in NOT_INSTALLED
    }
    assert folders == set(PACKAGES)
    homeless = [
        _name(path)
        for path in PYTHON
        if len(path.relative_to(ROOT).parts) > 1
        and _package(path) != "tests"
        and not (path.parent / "__init__.py").exists()
    ]
    assert not homeless, f"modules in folders without __init__.py: {homeless}"


def test_import_rules_and_types_cover_every_package():
    top = {name for name in PACKAGES if "." not in name}
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == top
    assert set(PROJECT["tool"]["mypy"]["packages"]) == top


def test_data_files_of_packages_are_installed_with_them():
    shipped = PROJECT["tool"]["setuptools"]["package-data"]
    data = [path for path in TRACKED if _package(path) in PACKAGES and path.suffix not in (".py", ".md")]
    missing = [
        _name(path) for path in data if not any(path.match(pattern) for pattern in shipped.get(_package(path), ()))
    ]
    assert not missing


def test_no_file_is_too_long():
    long = {_name(path): count for path in PYTHON if (count := len(_text(path).splitlines())) > LONGEST}
    assert not long, f"more than {LONGEST} lines: {long}; split them"


@pytest.mark.parametrize("pattern", FORBIDDEN, ids=lambda pattern: pattern.pattern)
def test_files_name_no_host_machine_or_tool(pattern):
    found = [
        f"{_name(path)}:{number}: {line.strip()[:80]}"
        for path in TRACKED
        if path != Path(__file__)
        for number, line in enumerate(_text(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_only_tests_know_the_folder_of_recordings():
    found = [_name(path) for path in TRACKED if _package(path) != "tests" and DATA_FOLDER.search(_text(path))]
    assert not found


def test_constraints_pin_every_direct_dependency():
    pinned = {line.split("==")[0] for line in _text(ROOT / "constraints.txt").splitlines()}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0] for requirement in wanted}
    assert not names - pinned, "make constraints.txt again: see CONTRIBUTING.md"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_leads_somewhere(document):
    text = re.sub(r"```.*?```", "", _text(document), flags=re.DOTALL)
    targets = [link.split("#")[0] for link in LINK.findall(text) if not re.match(r"https?:|mailto:|#", link)]
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_named_file_of_the_project_exists(document):
    """`path/file.py` in code font, where its first folder is one of ours."""
    folders = {_package(path) for path in TRACKED}
    named = re.findall(r"`([\w-]+/[\w/.-]+\.(?:py|md|yaml|toml))`", _text(document))
    missing = [name for name in named if name.split("/")[0] in folders and not (ROOT / name).exists()]
    assert not missing


def test_every_document_is_reachable_from_the_readme():
    seen, waiting = set(), [README]
    while waiting:
        document = waiting.pop()
        seen.add(document)
        for link in LINK.findall(_text(document)):
            target = (document.parent / link.split("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in seen:
                waiting.append(target)
    assert not {_name(path) for path in DOCUMENTS} - {_name(path) for path in seen}


def test_documented_make_verbs_exist():
    verbs = set(re.findall(r"^([a-z]+):", _text(ROOT / "Makefile"), re.MULTILINE))
    used = {
        (_name(document), verb)
        for document in [*DOCUMENTS, ROOT / ".ci" / "run"]
        for verb in re.findall(r"\bmake ([a-z]+)\b(?=[`\s]*(?:$|[#,.:;)|`]))", _text(document), re.MULTILINE)
    }
    assert {verb for _, verb in used} >= {"train", "test"}
    assert not {(where, verb) for where, verb in used if verb not in verbs}


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
@pytest.mark.parametrize(("fails", "status", "runs"), [("none", 0, 6), ("b.toml", 2, 2), ("markouts", 2, 5)])
@pytest.mark.parametrize("flags", [[], [".SHELLFLAGS=-c"]])  # old makes do not know .SHELLFLAGS
def test_no_table_follows_one_that_failed(tmp_path, fails, status, runs, flags):
    """`make tables` with a stand-in for Python, which writes down its words and fails where they hold ``fails``."""
    python, said = tmp_path / "python", tmp_path / "said"
    python.write_text(f'#!/bin/sh\necho "$@" >> {said}\ncase "$*" in *{fails}*) exit 3;; esac\n', encoding="utf-8")
    python.chmod(0o755)
    kinds = "KINDS=a b c kalshi_crypto d"
    command = ["make", "tables", f"RUN={python}", f"BASE={python}", "DATA=data", kinds, "TABLES=there", *flags]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, len(said.read_text(encoding="utf-8").splitlines())) == (status, runs), ran.stderr


def test_documented_modules_exist():
    modules = {
        module
        for document in DOCUMENTS
        for module in re.findall(r"python -m ([\w.]+)", _text(document))
        if module.split(".")[0] in {_package(path) for path in TRACKED}
    }
    missing = {
        module
        for module in modules
        if not (ROOT / f"{module.replace('.', '/')}.py").exists()
        and not (ROOT / module.replace(".", "/") / "__main__.py").exists()
    }
    assert modules and not missing


def test_ci_runs_what_make_test_runs():
    assert "make test" in _text(ROOT / ".ci" / "run")
