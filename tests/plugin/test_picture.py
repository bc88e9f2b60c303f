"""The picture in docs/ shows what the command prints, and nobody who looks at it is sent elsewhere."""

import io

import pytest
from rich.console import Console
from tests.plugin import lab
from tests.plugin.picture import PICTURE, WIDTH, said

from tinker_operator.plugin.status_table import status_screen

pytestmark = pytest.mark.pure


def test_the_picture_shows_what_is_printed() -> None:
    """Drawn anew by `python -m tests.plugin.picture`."""
    out = io.StringIO()
    Console(file=out, width=WIDTH, highlight=False).print(status_screen(lab.report(), WIDTH))
    printed = ["".join(line.split()) for line in out.getvalue().splitlines()]
    assert said(PICTURE.read_text(encoding="utf-8")) == [line for line in printed if line]


def test_the_picture_fetches_nothing() -> None:
    svg = PICTURE.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http" not in svg.replace("https://github.com/Textualize/rich", "").replace("https://www.textualize.io", "")
    assert "url(http" not in svg
