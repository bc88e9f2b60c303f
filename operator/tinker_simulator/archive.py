"""Checkpoint content as real files, so that breaking a file is a real fault.

A checkpoint is `<file>.npz` (the arrays) and `<file>.json` (what they should be, and the checksum). Both are written
beside and renamed; the JSON comes last, so content without it was never whole. A load trusts nothing: checksum, names,
shapes and finiteness are checked each time. An export is a folder `<file>` of files for other programs instead.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tinker_simulator.learning.adapter import AdapterConfig, AdapterState, Array, Factors

_FACTORS = "factors"
_OPTIMIZER_PARTS = ("first_moment", "second_moment")
_STEP = "step"


class BrokenContentError(Exception):
    """The content of a checkpoint is not what its record promises; the message says in what way."""


class Archive:
    """The checkpoint files under one folder.

    Args:
        root: The folder; made when it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def path(self, file: str) -> Path:
        """Where the arrays of `file` are."""
        return self._root / f"{file}.npz"

    def folder(self, file: str) -> Path:
        """Where the files of `file` are when it is an export; `exports.write_export` makes it."""
        return self._root / file

    def tar(self, file: str) -> Path:
        """Where the one file is that `file` was packed into, if it was."""
        return self._root / f"{file}.tar"

    def names_in(self, file: str) -> list[str]:
        """The names of an export's files; none when there is no such export."""
        return sorted(path.name for path in self.folder(file).glob("*"))

    def write_file(self, name: str, content: bytes) -> None:
        """Store a file that is no checkpoint."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, content)

    def write(self, file: str, config: AdapterConfig, arrays: Mapping[str, Array]) -> int:
        """Store arrays under `file`, replacing what was there, and return the size in bytes."""
        content = encode(arrays)
        manifest = {
            "format": 1,
            "config": asdict(config),
            "optimizer": any(name.startswith(_OPTIMIZER_PARTS) for name in arrays),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
        }
        path = self.path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, content)
        _write_whole(path.with_suffix(".json"), json.dumps(manifest, indent=1).encode())
        return len(content)

    def read(self, file: str, config: AdapterConfig, *, optimizer: bool) -> AdapterState:
        """The state stored under `file`; without `optimizer` only its weights.

        Raises:
            BrokenContentError: the file is missing, cut short, of another shape than `config`, or not finite.
        """
        arrays = self.arrays(file)
        state = _state(arrays, optimizer=optimizer)
        _check(state, config)
        return state

    def arrays(self, file: str) -> dict[str, Array]:
        """The arrays of `file` after the checksum, but before any look at what they say.

        Raises:
            BrokenContentError: the file is missing or cut short.
        """
        path = self.path(file)
        try:
            content = path.read_bytes()
            manifest: dict[str, Any] = json.loads(path.with_suffix(".json").read_bytes())
        except FileNotFoundError as missing:
            raise BrokenContentError("its content is missing from storage") from missing
        if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
            raise BrokenContentError(
                f"its content does not match its checksum ({len(content)} bytes of {manifest['size_bytes']})"
            )
        return decode(content)

    def remove(self, file: str) -> None:
        """Delete the content of `file`; nothing happens when there is none."""
        self.path(file).with_suffix(".json").unlink(missing_ok=True)
        self.path(file).unlink(missing_ok=True)
        self.tar(file).unlink(missing_ok=True)
        shutil.rmtree(self.folder(file), ignore_errors=True)

    def contents(self) -> set[str]:
        """Every `file` that anything is stored under, whole or not, without what is still being written."""
        packed = {path for suffix in ("npz", "json", "tar") for path in self._root.glob(f"*/*/[!.]*@*.{suffix}")}
        exported = {path for path in self._root.glob("*/*/[!.]*@*") if path.is_dir()}
        seeded = set(self._root.glob("*/seeded.*"))
        found = {path.with_name(path.name.rpartition(".")[0]) for path in packed | seeded} | exported
        return {str(path.relative_to(self._root)) for path in found}

    def remove_unfinished(self) -> None:
        """Delete what a kill left half written."""
        for path in list(self._root.rglob(".*.part")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def copy(self, source: str, target: str) -> None:
        """Store the same content under another name, as it is, broken or not."""
        for suffix in (".npz", ".json"):
            path = self.path(source).with_suffix(suffix)
            if path.exists():
                destination = self.path(target).with_suffix(suffix)
                destination.parent.mkdir(parents=True, exist_ok=True)
                _write_whole(destination, path.read_bytes())
        if self.folder(source).is_dir():
            shutil.copytree(self.folder(source), self.folder(target), dirs_exist_ok=True)


def weights_of(state: AdapterState) -> dict[str, Array]:
    """The arrays of a checkpoint that can be sampled from."""
    return {f"{_FACTORS}.{name}": value for name, value in state.factors.items()}


def training_of(state: AdapterState) -> dict[str, Array]:
    """The arrays of a checkpoint that training can go on from: the weights and the optimizer's memory."""
    moments = {"first_moment": state.first_moment, "second_moment": state.second_moment}
    optimizer = {f"{part}.{name}": value for part, values in moments.items() for name, value in values.items()}
    return {**weights_of(state), **optimizer, _STEP: np.full(1, state.step, np.float32)}


def live_of(state: AdapterState) -> bytes:
    """A model between two requests, gradients included."""
    gradients = {f"gradients.{name}": value for name, value in state.gradients.items()}
    return encode({**training_of(state), **gradients})


def live_from(content: bytes) -> AdapterState:
    """The reverse of `live_of`."""
    arrays = decode(content)
    state = _state(arrays, optimizer=True)
    return AdapterState(state.factors, _part(arrays, "gradients"), state.first_moment, state.second_moment, state.step)


def encode(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as one .npz document."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def decode(content: bytes) -> dict[str, Array]:
    """The reverse of `encode`.

    Raises:
        BrokenContentError: `content` is not such a document.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as document:
            return {name: document[name] for name in document.files}
    except (ValueError, OSError, EOFError, BadZipFile) as unreadable:
        raise BrokenContentError("its content cannot be read") from unreadable


def _state(arrays: Mapping[str, Array], *, optimizer: bool) -> AdapterState:
    factors = _part(arrays, _FACTORS)
    fresh = AdapterState.from_factors(factors)
    if not optimizer:
        return fresh
    first, second = (_part(arrays, part) for part in _OPTIMIZER_PARTS)
    if _STEP not in arrays or set(first) != set(factors) or set(second) != set(factors):
        raise BrokenContentError("it holds no optimizer state. Load it without the optimizer")
    return AdapterState(factors, fresh.gradients, first, second, int(arrays[_STEP][0]))


def _part(arrays: Mapping[str, Array], part: str) -> dict[str, Array]:
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _check(state: AdapterState, config: AdapterConfig) -> None:
    expected = config.factor_shapes()
    for values in (state.factors, state.first_moment, state.second_moment):
        _check_shapes(values, expected)
        broken = sorted(name for name, value in values.items() if not np.isfinite(value).all())
        if broken:
            raise BrokenContentError(f"it holds values that are not finite, in {', '.join(broken)}")


def _check_shapes(values: Factors, expected: Mapping[str, tuple[int, int]]) -> None:
    found = {name: value.shape for name, value in values.items()}
    if found != dict(expected):
        different = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise BrokenContentError(
            f"its shapes are not those of its LoRA rank: {different[0]} is {found.get(different[0])}, "
            f"expected {expected.get(different[0])}"
        )


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
