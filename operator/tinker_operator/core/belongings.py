"""The marks on what the operator makes in a cluster: whose it is, and by whom.

An owner reference lets the cluster delete a thing together with its TrainingRun; the labels let it be found.
"""

from typing import Any, Final

from tinker_operator.api.meta import GROUP, VERSION
from tinker_operator.api.training_run import TrainingRun

RUN_UID_LABEL: Final = f"{GROUP}/training-run-uid"
"""Label: uid of the TrainingRun. A name would not do: it may be longer than the 63 characters of a label's value."""
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "tinker-operator"}


def owner_reference(run: TrainingRun) -> dict[str, Any]:
    """Returns the reference that makes a thing this object's: it goes with the object, and never holds it back."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": run.kind,
        "name": run.metadata.name,
        "uid": run.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def labels_of(run: TrainingRun) -> dict[str, str]:
    """Returns the labels of what is this object's."""
    return {**MANAGED_BY, RUN_UID_LABEL: run.metadata.uid}
