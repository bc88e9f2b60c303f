"""Fixtures that give a test a real Prometheus; skipped by name where none can be had."""

import os
import sys

import pytest

from playground.errors import SourceUnavailable
from playground.progress import reporter
from playground.prometheus import Programs, find_prometheus
from playground.settings import Settings


@pytest.fixture(scope="session")
def prometheus_programs() -> Programs:
    """Prometheus and promtool, of this machine or of the distribution's package."""
    try:
        return find_prometheus(Settings.from_environ(os.environ), reporter(sys.stderr))
    except SourceUnavailable as why:
        pytest.skip(f"no Prometheus has judged: {why}")
