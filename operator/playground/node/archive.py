"""Writes container images as archives that `ctr image import` reads, the same bytes for the same contents.

`playground.node.images` packs with it. No engine, no registry: an archive is tar files in a tar file, and JSON that
names their hashes. Nothing in it depends on when, where or by whom it was written.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

USER = 65532  # nobody's on the machine; Pods of a restricted namespace must not be root
_EPOCH = 1_577_836_800  # 2020-01-01: zip archives made inside cannot bear dates before 1980
_CREATED = "2020-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar file, by its hash.

    Attributes:
        path: The file.
        digest: Its SHA-256 in hexadecimal.
    """

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> Layer:
        """The layer that a tar file is."""
        with path.open("rb") as content:
            return cls(path, hashlib.file_digest(content, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a container of the image runs, and as whom, when its Pod does not say.

    Attributes:
        command: Program and arguments.
        environ: Environment variables.
        folder: Working folder.
        user: User and group, as a number: a Pod that must not be root is refused where a name stands.
    """

    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: int = USER


def write_layer(root: Path, target: Path, owned: Sequence[str] = ()) -> Layer:
    """Pack a staged file system: sorted, dated alike, owned by root; what its owner may run, everybody may.

    Args:
        root: What becomes `/`.
        target: The tar file to write.
        owned: Folders, relative to root, that belong to the image's user instead.
    """
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in _sorted(root):
            entry = _entry(path, str(path.relative_to(root)), owned)
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    return Layer.of(target)


def _sorted(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        yield from sorted(Path(folder) / name for name in (*folders, *names))


def _entry(path: Path, name: str, owned: Sequence[str]) -> tarfile.TarInfo:
    entry, status = tarfile.TarInfo(name), path.lstat()
    entry.mtime = _EPOCH
    entry.uid = entry.gid = USER if name in owned else 0
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, str(path.readlink())
    elif stat.S_ISDIR(status.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if status.st_mode & stat.S_ISVTX else 0o755
    else:
        entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return entry


@dataclass(frozen=True, slots=True)
class Image:
    """One image. Its archive is written where it is read, so that layers lie on the disk once.

    Attributes:
        name: With its tag, as a Pod names it.
        architecture: Go's name of it.
        layers: From the lowest to the topmost.
        defaults: What runs in it.
    """

    name: str
    architecture: str
    layers: tuple[Layer, ...]
    defaults: Defaults

    @property
    def identity(self) -> str:
        """The image's id, the SHA-256 of its description: the same whenever the contents are."""
        return hashlib.sha256(_description(self)).hexdigest()

    def write(self, stream: IO[bytes]) -> None:
        """Write the archive, as `docker save` would; the stream need not be seekable."""
        description = _description(self)
        files = {f"{layer.digest}.tar": layer.path for layer in self.layers}
        index = [{"Config": f"{self.identity}.json", "RepoTags": [_full_name(self.name)], "Layers": list(files)}]
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar:
            _put(tar, f"{self.identity}.json", io.BytesIO(description), len(description))
            for file, path in files.items():
                with path.open("rb") as content:
                    _put(tar, file, content, path.stat().st_size)
            text = json.dumps(index).encode()
            _put(tar, "manifest.json", io.BytesIO(text), len(text))


def _full_name(name: str) -> str:
    return name if "/" in name else f"docker.io/library/{name}"


def _description(image: Image) -> bytes:
    defaults = image.defaults
    config = {
        "User": f"{defaults.user}:{defaults.user}",
        "Env": [f"{name}={value}" for name, value in defaults.environ.items()],
        "Cmd": list(defaults.command),
        "WorkingDir": defaults.folder,
    }
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in image.layers]}
    parts = {"os": "linux", "created": _CREATED, "config": config, "rootfs": rootfs}
    return json.dumps({"architecture": image.architecture, **parts}, sort_keys=True).encode()


def _put(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = size, _EPOCH
    tar.addfile(entry, content)
