"""The page about the client runs as it is printed, against a service over real HTTP."""

import ast
import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tinker_operator.tinker as package

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
FENCES = re.findall(r"^```(\w*)$", TEXT, flags=re.MULTILINE)
KEY = "tml-reader"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A simulator at the address that the page reads."""
    command = [sys.executable, "-m", "tinker_simulator", "serve", "--port", "0"]
    command += ["--state-dir", str(tmp_path), "--api-key", KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        monkeypatch.setenv("TINKER_BASE_URL", process.stdout.readline().split()[-1])
        monkeypatch.setenv("TINKER_API_KEY", KEY)
        yield
        process.terminate()
        process.wait(timeout=15)


@pytest.mark.http
@pytest.mark.usefixtures("service")
async def test_every_block_runs_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS, 1):
        code = compile(block, f"{PAGE.name} (block {number})", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)  # noqa: S307 (the project's own page)
        if asyncio.iscoroutine(result):
            await result
    printed = capsys.readouterr().out
    assert "Qwen/Qwen3-8B" in printed
    assert "was trained with rank 8, not 16" in printed
    assert KEY not in printed


@pytest.mark.pure
def test_no_block_escapes_the_test_above() -> None:
    assert FENCES.count("python") == len(BLOCKS) >= 9
    assert set(FENCES) == {"sh", "python", ""}


@pytest.mark.pure
def test_every_name_that_the_page_imports_is_offered() -> None:
    imported = {
        alias.name
        for block in BLOCKS
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and node.module == package.__name__
        for alias in node.names
    }
    assert imported
    assert imported <= set(package.__all__)


@pytest.mark.pure
def test_every_method_that_the_prose_names_exists() -> None:
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    called = set(re.findall(r"`(?:\w+\.)?(\w+)\([^`]*\)`", prose))
    assert called
    homes = (package.TinkerClient, package.TrainingClient, package)
    assert {name for name in called if not any(hasattr(home, name) for home in homes)} == set()
