"""What the numbers were taken on: said beside them, since they mean nothing without."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("tinker", "httpx", "numpy", "safetensors", "kopf", "kubernetes")


def machine() -> Mapping[str, str]:
    """Returns the machine and the versions that matter; neither a path nor a host's name is among it."""
    return {
        "CPU": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "Cores": str(os.cpu_count()),
        "Memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1024**2:.1f} GiB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    }


def _field(file: str, name: str) -> str:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
