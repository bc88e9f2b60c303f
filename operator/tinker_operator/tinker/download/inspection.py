"""Judges the files of an export, as a proof that a checkpoint is worth going on from.

Asked after a download, by whoever wants to know more than that the bytes arrived: structure, LoRA rank, base model, and
whether every value is finite. Memory is bounded whatever the size: values are looked at in blocks.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tinker_operator.tinker.download.disk import disk_faults
from tinker_operator.tinker.download.findings import (
    BadConfig,
    BaseModelMismatch,
    Encrypted,
    Finding,
    Missing,
    NoTensors,
    RankMismatch,
)
from tinker_operator.tinker.download.tensors import Header, Tensor, layout_findings, read_header, value_findings

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
_ENCRYPTED: Final = ".age"
_LARGEST_CONFIG: Final = 16 * 1024**2
_FACTOR: Final = re.compile(r"^(?P<module>.+)\.lora_(?:embedding_)?(?P<side>[AB])(?:\.[^.]+)*$")


@dataclass(frozen=True, slots=True)
class Inspection:
    """A verdict on an export.

    Args:
        tensors: How many tensors were judged.
        total_bytes: What they come to.
        findings: What is wrong; none when the export is sound.
    """

    tensors: int
    total_bytes: int
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings


def inspect_export(
    folder: Path, *, expected_rank: int | None = None, expected_base_model: str | None = None
) -> Inspection:
    """Judge the files of an export in a folder.

    Args:
        folder: As a download left it.
        expected_rank: The LoRA rank that it must have; None asks only that it agrees with itself.
        expected_base_model: The base model that it must be for; None takes any.

    Raises:
        DiskFault: A file cannot be read; this is no verdict.
    """
    with disk_faults(folder):
        return _Inspecting(folder, expected_rank, expected_base_model).run()


class _Inspecting:
    """The inspection of one folder."""

    def __init__(self, folder: Path, rank: int | None, base_model: str | None) -> None:
        self._folder = folder
        self._rank = rank
        self._base_model = base_model
        self._tensors = 0
        self._bytes = 0

    def run(self) -> Inspection:
        findings = tuple(self._findings())
        return Inspection(self._tensors, self._bytes, findings)

    def _findings(self) -> Iterator[Finding]:
        config: Mapping[str, Any] = {}
        if (missing := self._missing(CONFIG)) is not None:
            yield missing
        else:
            read = _config(self._folder / CONFIG)
            if isinstance(read, Finding):
                yield read
            else:
                config = read
                yield from self._config_findings(config)
        if (missing := self._missing(WEIGHTS)) is not None:
            yield missing
        for path in sorted(self._folder.rglob("*.safetensors")):
            yield from self._file_findings(path, config)

    def _missing(self, name: str) -> Finding | None:
        if (self._folder / name).is_file():
            return None
        return Encrypted(name + _ENCRYPTED) if (self._folder / (name + _ENCRYPTED)).is_file() else Missing(name)

    def _config_findings(self, config: Mapping[str, Any]) -> Iterator[Finding]:
        base_model = config.get("base_model_name_or_path")
        if self._base_model is not None and base_model != self._base_model:
            yield BaseModelMismatch(CONFIG, self._base_model, base_model if isinstance(base_model, str) else None)
        rank = config.get("r")
        if self._rank is not None and rank != self._rank:
            yield RankMismatch(CONFIG, None, self._rank, rank if isinstance(rank, int) else None)

    def _file_findings(self, path: Path, config: Mapping[str, Any]) -> Iterator[Finding]:
        header = read_header(path)
        if isinstance(header, Finding):
            yield header
            return
        self._tensors += len(header.tensors)
        self._bytes += sum(tensor.end - tensor.begin for tensor in header.tensors)
        if not header.tensors:
            yield NoTensors(path.name)
        broken = tuple(layout_findings(path.name, header, path.stat().st_size))
        yield from broken
        yield from self._rank_findings(path.name, header, config)
        if not broken:
            yield from value_findings(path, header)

    def _rank_findings(self, file: str, header: Header, config: Mapping[str, Any]) -> Iterator[Finding]:
        usual = config.get("r")
        rank = self._rank if self._rank is not None else usual if isinstance(usual, int) else None
        pattern = config.get("rank_pattern")
        ranks = pattern if isinstance(pattern, dict) else {}
        for tensor in header.tensors:
            expected, actual = _expected_rank(tensor, rank, ranks), _rank_of(tensor)
            if expected is not None and _FACTOR.match(tensor.name) and actual != expected:
                yield RankMismatch(file, tensor.name, expected, actual)


def _config(path: Path) -> Mapping[str, Any] | Finding:
    if path.stat().st_size > _LARGEST_CONFIG:
        return BadConfig(path.name, "it is too large")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return BadConfig(path.name, "it is no JSON")
    return config if isinstance(config, dict) else BadConfig(path.name, "it is no JSON object")


def _rank_of(tensor: Tensor) -> int | None:
    """Give the rank of a LoRA factor: A has it in the last dimension but one, B in the last."""
    match = _FACTOR.match(tensor.name)
    if match is None or len(tensor.shape) < 2:  # noqa: PLR2004 - a factor is a matrix, or several
        return None
    return tensor.shape[-2] if match["side"] == "A" else tensor.shape[-1]


def _expected_rank(tensor: Tensor, rank: int | None, pattern: Mapping[str, Any]) -> int | None:
    """Give the rank that a factor must have; PEFT lets a configuration name others, by the end of a module's name."""
    match = _FACTOR.match(tensor.name)
    module = match["module"] if match else ""
    for key, special in pattern.items():
        if isinstance(special, int) and (module == key or module.endswith(f".{key}")):
            return special
    return rank
