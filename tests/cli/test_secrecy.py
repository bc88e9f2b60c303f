"""No log line shows a secret, whoever raised an exception with one in it, and in whichever form logs are written."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.http

SECRET = "tml-planted"
CHILD = """
import asyncio, gc, logging, os, sys, threading
from tinker_operator.cli import main as command

def stumble():
    entries = {"TINKER_API_KEY": os.environ["PLANTED"]}
    raise ValueError(f"cannot use {entries}")

async def in_a_task():
    stumble()

async def forgotten():
    task = asyncio.create_task(in_a_task())
    await asyncio.wait({task})
    del task
    gc.collect()

async def in_a_callback():
    asyncio.get_running_loop().call_soon(lambda planted: stumble(), os.environ["PLANTED"])
    await asyncio.sleep(0)

def by_a_library():
    try:
        stumble()
    except ValueError as fault:
        logging.getLogger("library").exception("It failed: %r", fault)
        logging.getLogger("library").error(f"It failed again: {fault}", exc_info=fault)
    try:
        raise RuntimeError("kept") from ValueError(os.environ["PLANTED"])
    except RuntimeError:
        logging.getLogger("library").warning("It goes on.", exc_info=True)
    logging.getLogger("kubernetes.client").error("Expected key user in /config/{'token': '%s'}", os.environ["PLANTED"])
    logging.getLogger("opentelemetry.exporter.otlp").error("Failed to encode span batch: %s", os.environ["PLANTED"])

async def by_our_own_log():
    import structlog
    try:
        stumble()
    except ValueError:
        structlog.get_logger().exception("our_own")

async def run_operator(deployment, stop):
    await forgotten()
    await in_a_callback()
    by_a_library()
    await by_our_own_log()
    other_loop = threading.Thread(target=asyncio.run, args=(forgotten(),))
    other_loop.start()
    other_loop.join()
    stumble()

command.run_operator = run_operator
sys.argv = ["tinker-operator", "run", "--log-format", sys.argv[1]]
command.main()
"""


@pytest.fixture(scope="module", params=["json", "text"])
def ended(request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """The command, whose operator does nothing but fail, in every way there is, with a secret at hand."""
    command = [sys.executable, "-c", CHILD, request.param]
    environ = {**os.environ, "PLANTED": SECRET, "TINKER_API_KEY": SECRET}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_no_failure_shows_the_secret(ended: subprocess.CompletedProcess[str]) -> None:
    """Neither the exceptions' own text, nor the variables around them."""
    assert SECRET not in ended.stderr + ended.stdout


def test_every_failure_is_told_on_one_line_with_its_kind_and_place(ended: subprocess.CompletedProcess[str]) -> None:
    """What is kept secret is the text, not that it happened."""
    lines = ended.stderr.splitlines()
    told = [line for line in lines if "ValueError" in line and " stumble" in line]

    # Task, callback, library twice, ours, task of another loop, and what ends the command.
    assert len(told) == 7
    assert len(lines) == 10
    assert "Failed to encode span batch" in ended.stderr
    assert "RuntimeError" in ended.stderr
    assert "Expected key user in /config/" in ended.stderr
    assert "Task exception was never retrieved" in lines[0]
    assert "Traceback" not in ended.stderr
    assert all(isinstance(json.loads(line), dict) for line in lines[:-1] if line.startswith("{"))


def test_a_defect_ends_the_command_with_one_line_and_status_one(ended: subprocess.CompletedProcess[str]) -> None:
    """It is no bad setting, so the status is another."""
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("tinker-operator: a defect of the operator: ValueError")
