"""Weights as torch.save writes them are the source's, tensor for tensor. Skipped where torch is not installed."""

from pathlib import Path

import numpy as np
import pytest
from tests.exporter.adapters import adapter, matrix

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.formats import opened

pytestmark = pytest.mark.pure
torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'tinker-operator[pytorch]'")


def test_torch_loads_every_tensor_as_it_was(tmp_path: Path) -> None:
    """Without running any code that the file might hold."""
    tensors = {
        **matrix("model.layers.0.self_attn.q_proj"),
        **matrix("lm_head", dtype=np.float16),
        "empty": np.zeros((0, 3), np.float32),
    }
    conversion = opened(ExportFormat.PYTORCH)
    assert conversion is not None
    folder = adapter(tmp_path, tensors)
    conversion.write(folder, folder / conversion.file_name)

    found = torch.load(folder / "adapter_model.bin", weights_only=True)
    assert {name: (it.numpy().dtype, it.numpy().tolist()) for name, it in found.items()} == {
        name: (it.dtype, it.tolist()) for name, it in tensors.items()
    }
