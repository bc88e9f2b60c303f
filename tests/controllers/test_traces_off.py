"""Traces that nobody asked for cost nothing: seen from outside, in a process that has imported nothing else."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.http


def test_without_traces_nothing_of_opentelemetry_is_imported() -> None:
    """Neither memory nor time."""
    program = "import sys, tinker_operator.cli.main; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
