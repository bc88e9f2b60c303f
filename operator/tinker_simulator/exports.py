"""Adapters as other programs read them: the two files of a PEFT adapter, encrypted with age where that was asked for.

The operation that saves external weights calls `write_export` on the folder that `Archive.folder` names; the archive
route calls it to pack a checkpoint. Whoever takes a request with recipients calls `check_recipients` first.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

# It ships no types; what is used of it is wrapped in the two functions below that name it.
import pyrage  # type: ignore[import-untyped]
from safetensors.numpy import save

from tinker_simulator.answers import ApiError
from tinker_simulator.learning.adapter import Array, Factors

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ENCRYPTED_SUFFIX = ".age"
MOST_RECIPIENTS = 10

# Where the three trained matrices of the small model would sit in a transformer.
_MODULES: Mapping[str, str] = {
    "unembed": "lm_head",
    "mlp": "model.layers.0.mlp.down_proj",
    "attn": "model.layers.0.self_attn.o_proj",
}


def check_recipients(recipients: Sequence[str] | None) -> None:
    """Refuse age recipients that nothing can be encrypted to.

    Raises:
        ApiError: 400, there are more than ten, or one is neither an `age1...` key nor an SSH public key.
    """
    if recipients is None:
        return
    if not 1 <= len(recipients) <= MOST_RECIPIENTS:
        raise ApiError(
            400,
            f"age_encryption_recipients has {len(recipients)} entries. "
            f"Give 1 to {MOST_RECIPIENTS}, or leave it out for files in the clear.",
        )
    for number, text in enumerate(recipients, start=1):
        if _recipient(text) is None:
            raise ApiError(
                400, f"age_encryption_recipients entry {number} is not a recipient. Give 'age1...' or an SSH key."
            )


def write_export(folder: Path, adapter: Factors, base_model: str, recipients: Sequence[str] | None = None) -> int:
    """Write an adapter as PEFT files, in place of what `folder` held, and return their size in bytes.

    The folder appears whole or not at all. Loaded by PEFT's rules, B·A of each module is what the small model adds.

    Args:
        folder: Where to; its parents are made.
        adapter: The trained factors, as an `AdapterState` holds them; the rank is read from their shapes.
        base_model: The name of what they adapt.
        recipients: age recipients, checked before; each file is then encrypted and has the suffix `.age`.
    """
    keys = [_recipient(text) for text in recipients or ()]
    contents = peft_files(adapter, base_model)
    if keys:
        contents = {f"{name}{ENCRYPTED_SUFFIX}": _encrypted(content, keys) for name, content in contents.items()}
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, content in contents.items():
        _write(beside / name, content)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return sum(len(content) for content in contents.values())


def peft_files(adapter: Factors, base_model: str) -> dict[str, bytes]:
    """The content of a PEFT adapter's files by name."""
    return {CONFIG_FILE: _config(adapter, base_model), WEIGHTS_FILE: save(dict(_tensors(adapter)))}


def write_tar(path: Path, files: Mapping[str, bytes], modified: datetime) -> None:
    """Write files as one tar, whole or not at all; an empty member at its end says that it is complete."""
    beside = path.with_name(f".{path.name}.part")
    with tarfile.open(beside, "w") as archive:
        for name, content in {**files, "checkpoint_complete": b""}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), int(modified.timestamp())
            archive.addfile(member, io.BytesIO(content))
    beside.replace(path)


def _config(adapter: Factors, base_model: str) -> bytes:
    ranks = {value.shape[1] for name, value in adapter.items() if name.endswith("_a")}
    rank = max(ranks)
    document: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": rank,
        # Alpha equal to the rank scales by one: the factors mean what they mean in the simulator.
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": [path.rsplit(".", 1)[-1] for pair, path in _MODULES.items() if f"{pair}_a" in adapter],
    }
    return json.dumps(document, indent=2).encode()


def _tensors(adapter: Factors) -> Iterator[tuple[str, Array]]:
    # PEFT keeps both factors the other way round: A is rank x inputs, B is outputs x rank.
    for name, value in sorted(adapter.items()):
        pair, side = name.rsplit("_", 1)
        yield f"base_model.model.{_MODULES[pair]}.lora_{side.upper()}.weight", np.ascontiguousarray(value.T)


def _recipient(text: str) -> Any | None:
    form = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return form.from_str(text)
    except pyrage.RecipientError:
        return None


def _encrypted(content: bytes, recipients: Sequence[Any]) -> bytes:
    return bytes(pyrage.encrypt(content, list(recipients)))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
