"""The folder of one demonstration: a temporary one that is removed, or the one that a person names, which stays.

FOLDER/kubeconfig, bin/, logs/, ...      the control plane's own, as `tinker-playground up` leaves them
FOLDER/demonstration/                    manifests, kubeconfigs, logs and the simulator's state
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.errors import BadSetting

_OURS = "demonstration"
_MARKER = ".tinker-playground"


@contextmanager
def workspace(named: Path | None) -> Iterator[Path]:
    """Answer the folder to work in.

    Args:
        named: The folder that a person named, made if need be; None for a temporary one.

    Raises:
        BadSetting: The named folder holds a `demonstration` that is not ours.
    """
    if named is not None:
        _refuse_foreign(named)
        yield named.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="tinker-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh_part(folder: Path) -> Path:
    """Make FOLDER/demonstration, empty, and answer it; to be called by who has claimed the folder."""
    part = folder / _OURS
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    return part


def _refuse_foreign(folder: Path) -> None:
    if (folder / _OURS).exists() and not (folder / _MARKER).exists():
        raise BadSetting(f"{folder} has a {_OURS} that no demonstration of ours made.", "Choose another folder.")
