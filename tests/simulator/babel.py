"""One simulator that speaks every dialect, each to a key of its own, and the official wire to that key's twin."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.simulator.bare import Wire

from tinker_simulator.dialects import DIALECTS

MIXED = "mixed"
"""Two dialects at once."""
SPOKEN = {name: (name,) for name in DIALECTS} | {MIXED: ("short-ids", "naive-times")}


def spoken_key(name: str) -> str:
    """The key that is spoken to in a dialect."""
    return f"tml-spoken-{name}"


def plain_key(name: str) -> str:
    """The key of the same owner that the official wire is spoken to."""
    return f"tml-plain-{name}"


@dataclass(frozen=True)
class Babel:
    """The simulator that runs."""

    url: str

    @contextmanager
    def spoken(self, name: str) -> Iterator[Wire]:
        """The bare wire in a dialect."""
        wire = Wire(self.url, spoken_key(name))
        with closing(wire.http):
            yield wire

    @contextmanager
    def plain(self, name: str) -> Iterator[Wire]:
        """The official wire, over the same runs."""
        wire = Wire(self.url, plain_key(name))
        with closing(wire.http):
            yield wire


@contextmanager
def babel(state_dir: Path) -> Iterator[Babel]:
    """Serve until the block ends."""
    command = [sys.executable, "-W", "error", "-m", "tinker_simulator", "serve", "--port", "0", "--admin"]
    command += ["--state-dir", str(state_dir)]
    for name, dialects in SPOKEN.items():
        for key in (spoken_key(name), plain_key(name)):
            command += ["--api-key", f"{key}@{name}"]
        for dialect in dialects:
            command += ["--dialect", f"{dialect}@{spoken_key(name)}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("tinker-simulator: serving on "), line
        try:
            yield Babel(line.split()[-1])
        finally:
            process.terminate()
            status = process.wait(timeout=15)
    assert status == 0
