"""Sets and takes away the operator's finalizer, which only spec.deletionPolicy: Delete asks for."""

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.objects import TRAINING_RUNS, key_of_run
from tinker_operator.controllers.translate import kube_fault
from tinker_operator.core.farewell import FINALIZER
from tinker_operator.core.world import Fault
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeError, ObjectGone


async def set_finalizer(run: TrainingRun, api: KubeApi, *, present: bool) -> Fault | None:
    """Makes the finalizer be there or not, beside those of others; returns what kept it from that.

    Args:
        run: The object, at the version that was decided on.
        api: The Kubernetes API.
        present: Whether it is to be there.
    """
    others = [one for one in run.metadata.finalizers if one != FINALIZER]
    wanted = [*others, FINALIZER] if present else others
    try:
        await api.patch_finalizers(TRAINING_RUNS, key_of_run(run), wanted, run.metadata.resource_version)
    except ObjectGone:
        return None
    except KubeError as error:
        return kube_fault(error)
    return None
