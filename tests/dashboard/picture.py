"""Draws docs/dashboard.svg anew from an operator at work: `python -m tests.dashboard.picture`.

The world is that of the test, which takes longer then, so that there is more to see.
"""

import os
import sys
from pathlib import Path
from typing import Final

import pytest

PICTURE: Final = Path(__file__).parents[2] / "docs" / "dashboard.svg"
WANTED: Final = "DASHBOARD_PICTURE"
"""Environment variable that says where the picture goes."""
TEST: Final = "tests/e2e/test_dashboard.py::test_every_panel_shows_what_happened"


if __name__ == "__main__":
    os.environ[WANTED] = str(PICTURE)
    sys.exit(pytest.main(["-q", TEST]))
