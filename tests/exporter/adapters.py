"""Adapters as the service gives them, made up, in the arrangement of well-known base models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

RANK = 4
WIDTH = 128
ROWS = 256


def matrix(name: str, rank: int = RANK, dtype: Any = np.float32) -> dict[str, NDArray[Any]]:
    """The two factors of one matrix, with values that no other has."""
    numbers = np.random.default_rng(list(name.encode()))
    a, b = numbers.normal(size=(rank, WIDTH)), numbers.normal(size=(ROWS, rank))
    return {f"base_model.model.{name}.lora_{side}.weight": it.astype(dtype) for side, it in (("A", a), ("B", b))}


def adapter(
    folder: Path, tensors: Mapping[str, NDArray[Any]], base_model: str = "Qwen/Qwen3-8B", **config: Any
) -> Path:
    """Write one; gives the folder."""
    told = {"base_model_name_or_path": base_model, "r": RANK, "lora_alpha": 32, "peft_type": "LORA", **config}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(told))
    (folder / "adapter_model.safetensors").write_bytes(save(dict(tensors)))
    return folder
