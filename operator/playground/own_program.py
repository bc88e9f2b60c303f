"""Small Go programs of ours that stand in for tools a machine has not: built once into the cache, and asked.

The control plane is built and kept likewise; `playground.helm` and `playground.scores` are such programs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from playground.build import Product, build, build_key
from playground.cache import Cache
from playground.errors import ComponentFailed
from playground.progress import Reporter
from playground.settings import Settings

_SECONDS = 60.0


def find_own(settings: Settings, reporter: Reporter, sources: Path, product: Product, name: str) -> Path:
    """Answer the program of the cache, after building it if need be.

    Args:
        settings: Where the cache is.
        reporter: Told while it is built.
        sources: Folder of its Go sources.
        product: What is built.
        name: What its entry in the cache begins with.

    Raises:
        SourceUnavailable: It cannot be built here.
        BadSetting: The cache cannot be made.
    """
    cache = Cache(settings.cache, reporter, (product.binary,))
    entry = f"{name}-{build_key(settings, sources)}"
    return cache.entry(entry, lambda at: build(settings, reporter, sources, at, product)) / product.binary


def ask_own(command: Sequence[str | Path], given: str, remedy: str) -> str:
    """Answer what the program prints.

    Args:
        command: It, and its arguments.
        given: Its standard input.
        remedy: What to do when it refuses that.

    Raises:
        ComponentFailed: It does; the message is its own.
    """
    answer = subprocess.run(  # noqa: S603 -- our own program
        command, input=given, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if answer.returncode != 0:
        raise ComponentFailed(answer.stderr.strip(), remedy)
    return answer.stdout
