"""The trainer Job of mode Relaunch: what becomes of `spec.trainer.template`.

The template is the user's: whatever stands in it is honoured as Kubernetes honours it, with what a training loop
needs added and what would run two loops at once refused. A template that is not of the right shape is told of here;
what is in it is the API server's to judge.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tinker_operator.api.meta import ATTEMPT_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.belongings import labels_of, owner_reference
from tinker_operator.core.hand_over import hand_over_name
from tinker_operator.core.world import Fault

ATTEMPT_VARIABLE: Final = "TINKER_OPERATOR_ATTEMPT"
"""Variable: the attempt that the Job was made for. A loop that reads an older one in the hand-over waits."""
HAND_OVER_VARIABLE: Final = "TINKER_OPERATOR_HANDOVER"
"""Variable: where the hand-over lies."""
KEY_VARIABLE: Final = "TINKER_API_KEY"
URL_VARIABLE: Final = "TINKER_BASE_URL"
"""Variables, and the entries of the Secret that they are taken from."""
FOLDER: Final = "/etc/tinker-operator"
"""Where the hand-over ConfigMap is mounted: all of it, because a mount of one file is never renewed."""
VOLUME: Final = "tinker-operator-handover"
SHORTEST_STAY: Final = 60
"""Seconds that a Job which has ended stays at least: one that nobody saw end may have been deleted by anybody."""
ONE_LOOP: Final = ("completions", "parallelism")

Json: TypeAlias = dict[str, Any]


class _Misshapen(Exception):
    """A part of the template is of another type than a Job has there."""


def trainer_job(run: TrainingRun, name: str, attempt: int, base_url: str | None = None) -> Json | Fault:
    """Returns the Job of an attempt, or what is wrong with the template; the template is not changed.

    Of the template's metadata, labels and annotations count, as with a CronJob. These defaults differ from those of
    Kubernetes: `restartPolicy: Never` and `backoffLimit: 0`, so that each failure is told of and is an attempt of its
    own; `podReplacementPolicy: Failed`, so that no second pod starts beside one that is still ending.

    Args:
        run: The object.
        name: Name of the Job.
        attempt: Number of the attempt.
        base_url: The service that the key is for; None where it is not known, and the Secret may tell.
    """
    template = run.spec.trainer.template if run.spec.trainer else {}
    try:
        metadata, spec = _object(template, "metadata"), _object(template, "spec")
        job_spec = _job_spec(spec, run, attempt, base_url)
        labels, annotations = (_object(metadata, field, "metadata.") for field in ("labels", "annotations"))
    except _Misshapen as error:
        return Fault(Reason.TRAINER_INVALID, f"spec.trainer.template.{error}.", needs_user=True)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": run.metadata.namespace,
            "labels": {**labels, **labels_of(run)},
            "annotations": {**annotations, ATTEMPT_KEY: str(attempt)},
            "ownerReferences": [owner_reference(run)],
        },
        "spec": job_spec,
    }


def _job_spec(spec: Json, run: TrainingRun, attempt: int, base_url: str | None) -> Json:
    for field in ONE_LOOP:
        if spec.get(field, 1) != 1:
            raise _Misshapen(f"spec.{field} is not 1, so two loops would train the same run. Remove it")
    pod = _object(spec, "template", "spec.")
    metadata = _object(pod, "metadata", "spec.template.")
    labels = {**_object(metadata, "labels", "spec.template.metadata."), **labels_of(run)}
    pod_spec = _pod_spec(_object(pod, "spec", "spec.template."), run, attempt, base_url)
    stays = (
        {"ttlSecondsAfterFinished": max(int(spec["ttlSecondsAfterFinished"]), SHORTEST_STAY)}
        if (isinstance(spec.get("ttlSecondsAfterFinished"), int))
        else {}
    )
    # A limit for each index stands in for the limit of the Job, whose own default then is not to have one.
    limit = {} if "backoffLimitPerIndex" in spec else {"backoffLimit": 0}
    return {
        **limit,
        "podReplacementPolicy": "Failed",
        **spec,
        **stays,
        "template": {**pod, "metadata": {**metadata, "labels": labels}, "spec": pod_spec},
    }


def _pod_spec(spec: Json, run: TrainingRun, attempt: int, base_url: str | None) -> Json:
    told = _hand_over_variables(attempt)
    key = _key_variables(run, base_url)
    volume = {"name": VOLUME, "configMap": {"name": hand_over_name(run)}}
    where = "spec.template.spec."
    # What prepares the loop may look at the hand-over, too; the key is for what runs beside the loop alone.
    equipped: dict[str, list[Json]] = {
        field: [_equipped(one, f"{where}{field}[{at}].", variables) for at, one in enumerate(_list(spec, field, where))]
        for field, variables in {"initContainers": told, "containers": {**told, **key}}.items()
        if field in spec
    }
    return {
        "restartPolicy": "Never",
        **spec,
        **equipped,
        "volumes": [*_list(spec, "volumes", where), volume],
    }


def _equipped(container: Json, where: str, variables: Mapping[str, Json]) -> Json:
    """A container with our variables and the hand-over; what it sets itself stays, but for the attempt.

    Ours come first, since a variable may refer to those before it.
    """
    theirs = [one for one in _list(container, "env", where) if one.get("name") != ATTEMPT_VARIABLE]
    taken = [one.get("name") for one in theirs]
    ours = [{"name": name, **value} for name, value in variables.items() if name not in taken]
    mount = {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
    return {
        **container,
        "env": [*ours, *theirs],
        "volumeMounts": [*_list(container, "volumeMounts", where), mount],
    }


def _hand_over_variables(attempt: int) -> dict[str, Json]:
    return {ATTEMPT_VARIABLE: {"value": str(attempt)}, HAND_OVER_VARIABLE: {"value": f"{FOLDER}/handover.json"}}


def _key_variables(run: TrainingRun, base_url: str | None) -> dict[str, Json]:
    """The key of the object's own Secret; the operator's own is not given away: without one the template brings it.

    The service goes with the key: an image's own default would send the key to another one.
    """
    if run.spec.credentials_ref is None:
        return {}
    secret = run.spec.credentials_ref.name
    return {
        KEY_VARIABLE: {"valueFrom": {"secretKeyRef": {"name": secret, "key": KEY_VARIABLE}}},
        URL_VARIABLE: _service(secret, base_url),
    }


def _service(secret: str, base_url: str | None) -> Json:
    if base_url is not None:
        return {"value": base_url.replace("$", "$$")}
    return {"valueFrom": {"secretKeyRef": {"name": secret, "key": URL_VARIABLE, "optional": True}}}


def _object(parent: Json, field: str, where: str = "") -> Json:
    """A field that holds an object, without its nulls, which mean that nothing is said."""
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Misshapen(f"{where}{field} is not an object. Write it as in a Job")
    return {key: one for key, one in value.items() if one is not None}


def _list(parent: Json, field: str, where: str) -> list[Json]:
    """A field that holds a list of objects."""
    value = parent.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _Misshapen(f"{where}{field} is not a list of objects. Write it as in a Job")
    return value
