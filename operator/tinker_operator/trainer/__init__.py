"""What a training loop imports so that it goes on by itself after the operator recovered its run.

`training_sessions` in a `training_loop` is the whole of it; `resume`, `Checkpointer`, `HandOverWatch`, `is_run_lost`
and `wait_for_next` are its parts, for loops that need another shape. Needs the official Tinker SDK, and no Kubernetes
around it. The manual is docs/trainer.md.
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
from tinker_operator.trainer.ending import ExitStatus, end_process, exit_status, service_client, training_loop
from tinker_operator.trainer.errors import (
    CheckpointUnfit,
    CheckpointUnusable,
    HandOverForbidden,
    HandOverLate,
    HandOverMalformed,
    HandOverUnreadable,
    HandOverVersionUnknown,
    NoNextHandOver,
    RunLost,
    SettingInvalid,
    Superseded,
    TrainerError,
)
from tinker_operator.trainer.handover import HandOver, Mode, TrainingRunRef
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
from tinker_operator.trainer.termination import Terminated, Termination
from tinker_operator.trainer.waiting import attempt_from, current_hand_over, wait_for_next
from tinker_operator.trainer.watch import HandOverWatch

__all__ = [
    "RESUMED_AT",
    "CheckpointUnfit",
    "CheckpointUnusable",
    "Checkpointer",
    "ConfigMapHandOver",
    "ExitStatus",
    "FileHandOver",
    "HandOver",
    "HandOverForbidden",
    "HandOverLate",
    "HandOverMalformed",
    "HandOverSource",
    "HandOverUnreadable",
    "HandOverVersionUnknown",
    "HandOverWatch",
    "Mode",
    "NoHandOver",
    "NoNextHandOver",
    "Resumed",
    "RunLost",
    "SettingInvalid",
    "Superseded",
    "Terminated",
    "Termination",
    "TrainerError",
    "TrainingRunRef",
    "TrainingSession",
    "attempt_from",
    "current_hand_over",
    "end_process",
    "exit_status",
    "is_run_lost",
    "resume",
    "service_client",
    "source_from",
    "training_loop",
    "training_sessions",
    "wait_for_next",
]

del _sdk
