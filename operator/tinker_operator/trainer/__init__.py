"""What a training loop imports so that it goes on by itself after the operator recovered its run.

`training_sessions` is the whole of it; `resume`, `Checkpointer`, `is_run_lost` and `wait_for_next` are its parts, for
loops that need another shape. Needs the official Tinker SDK, and no Kubernetes around it.
"""

try:
    import tinker as _sdk
except ModuleNotFoundError as error:
    if error.name != "tinker":
        raise
    raise ImportError(
        "tinker_operator.trainer needs the Tinker SDK, which is not installed. "
        "Install it with: pip install 'tinker-operator[trainer]'",
        name="tinker",
    ) from error

from tinker_operator.trainer.checkpointer import Checkpointer
from tinker_operator.trainer.errors import (
    CheckpointUnusable,
    HandOverForbidden,
    HandOverMalformed,
    HandOverUnreadable,
    HandOverVersionUnknown,
    NoNextHandOver,
    RunLost,
    SettingInvalid,
    TrainerError,
)
from tinker_operator.trainer.handover import HandOver, TrainingRunRef
from tinker_operator.trainer.lost import is_run_lost
from tinker_operator.trainer.resume import RESUMED_AT, Resumed, resume
from tinker_operator.trainer.sessions import TrainingSession, training_sessions
from tinker_operator.trainer.sources import (
    ConfigMapHandOver,
    FileHandOver,
    HandOverSource,
    NoHandOver,
    source_from,
)
from tinker_operator.trainer.waiting import wait_for_next

__all__ = [
    "RESUMED_AT",
    "CheckpointUnusable",
    "Checkpointer",
    "ConfigMapHandOver",
    "FileHandOver",
    "HandOver",
    "HandOverForbidden",
    "HandOverMalformed",
    "HandOverSource",
    "HandOverUnreadable",
    "HandOverVersionUnknown",
    "NoHandOver",
    "NoNextHandOver",
    "Resumed",
    "RunLost",
    "SettingInvalid",
    "TrainerError",
    "TrainingRunRef",
    "TrainingSession",
    "is_run_lost",
    "resume",
    "source_from",
    "training_sessions",
    "wait_for_next",
]

del _sdk
