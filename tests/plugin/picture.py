"""The picture of `kubectl tinker status` in docs/, drawn from the laboratory: `python -m tests.plugin.picture`."""

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.terminal_theme import MONOKAI
from tests.plugin import lab

from tinker_operator.plugin.status_table import status_screen

PICTURE = Path(__file__).parents[2] / "docs" / "kubectl-status.svg"
WIDTH = 118
_FONTS = re.compile(r"@font-face \{.*?\}\s*", flags=re.DOTALL)
"""rich would have whoever looks at it fetch fonts from elsewhere."""


def drawn() -> str:
    """Returns the picture."""
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor", highlight=False
    )
    console.print(status_screen(lab.report(), WIDTH))
    svg = _FONTS.sub("", console.export_svg(title="kubectl tinker status", theme=MONOKAI, unique_id="status"))
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def said(svg: str) -> list[str]:
    """Returns the lines of a picture without their spaces, from the top."""
    lines: dict[float, list[str]] = {}
    for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):  # noqa: S314 - our own picture
        if element.get("clip-path"):
            lines.setdefault(float(element.get("y", "0")), []).append("".join(element.itertext()))
    return [squeezed for _, texts in sorted(lines.items()) if (squeezed := "".join("".join(texts).split()))]


if __name__ == "__main__":
    PICTURE.write_text(drawn(), encoding="utf-8")
