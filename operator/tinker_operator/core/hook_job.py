"""The Job that a hook makes for one occasion: what becomes of its template."""

from typing import Any, Final

from tinker_operator.api.hook_spec import Hook
from tinker_operator.api.meta import GROUP
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.belongings import MANAGED_BY, owner_reference
from tinker_operator.core.identity import clipped_name
from tinker_operator.core.world import CallHook

HOOK_VARIABLE: Final = "TINKER_OPERATOR_HOOK"
"""Variable: the JSON of the occasion, the same that a webhook gets as its body."""
HOOK_UID_LABEL: Final = f"{GROUP}/hook-of-uid"
"""Label: uid of the TrainingRun. Another one than the trainer's Jobs have, which must be alone of their kind."""

_WAY: Final = ("spec", "template", "spec")


def hook_job(call: CallHook, template: dict[str, Any], run: TrainingRun) -> dict[str, Any] | str:
    """Returns the Job of a call, or what is wrong with its template; a repetition has the same name.

    Args:
        call: What is to be told.
        template: The hook's template.
        run: The object.
    """
    objection = _objection(template)
    if objection is not None:
        return f"hook {call.hook.name}: job.template{objection}"
    metadata, spec = template.get("metadata") or {}, template["spec"]
    pod = spec["template"]
    marks = {**MANAGED_BY, HOOK_UID_LABEL: run.metadata.uid}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(call.hook, call.id, run),
            "namespace": run.metadata.namespace,
            "labels": {**(metadata.get("labels") or {}), **marks},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner_reference(run)],
        },
        "spec": {**spec, "template": {**pod, "spec": _told(pod["spec"], call.body)}},
    }


def job_name(hook: Hook, call_id: str, run: TrainingRun) -> str:
    """Returns the name of a call's Job: the same for each repetition of the call."""
    return clipped_name(run, f"-{hook.name}-{call_id[:8]}")


def _objection(template: dict[str, Any]) -> str | None:
    """Returns what of the parts that are worked on here has another shape than in a Job; None when nothing has."""
    metadata = template.get("metadata") or {}
    if not isinstance(metadata, dict) or not all(
        isinstance(metadata.get(field) or {}, dict) for field in ("labels", "annotations")
    ):
        return ".metadata is not of the shape that a Job's has. Correct it."
    part: Any = template
    for at, field in enumerate(_WAY, start=1):
        part = part.get(field)
        if not isinstance(part, dict):
            return f" has no object {'.'.join(_WAY[:at])}. Write it as in a Job."
    containers = part.get("containers")
    if not isinstance(containers, list) or not all(map(_is_container, containers)):
        return f".{'.'.join(_WAY)}.containers is no list of containers. Write it as in a Job."
    return None


def _is_container(one: object) -> bool:
    variables = one.get("env") or [] if isinstance(one, dict) else None
    return isinstance(variables, list) and all(isinstance(variable, dict) for variable in variables)


def _told(pod_spec: dict[str, Any], body: str) -> dict[str, Any]:
    # In a value, $(NAME) stands for another variable, and $$ for the sign itself.
    told = {"name": HOOK_VARIABLE, "value": body.replace("$", "$$")}
    containers = [{**one, "env": [told, *_others(one)]} for one in pod_spec["containers"]]
    return {"restartPolicy": "Never", **pod_spec, "containers": containers}


def _others(container: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in container.get("env") or () if one.get("name") != HOOK_VARIABLE]
