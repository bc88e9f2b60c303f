"""An object that does not parse: older than the schema that should have refused it, or foreign."""

from typing import Any

from pydantic import ValidationError

from tinker_operator.api.meta import ApiModel, Condition, ConditionStatus, to_wire
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.conditions import Finding, Standing, next_conditions, standing_findings
from tinker_operator.engine.keys import KubeObject, Resource, key_of


class _Conditions(ApiModel):
    """The part of any status that is written when nothing else can be trusted."""

    observed_generation: int
    conditions: tuple[Condition, ...]


async def report_invalid(shell: Shell, resource: Resource, obj: KubeObject, error: ValidationError) -> None:
    """Says in the object's conditions which field does not parse; nothing else is touched."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = f"{field}: {first['msg']}. Correct the field; the CRDs may be older than the operator: apply crds/ too."
    synced = Finding(ConditionType.SYNCED, ConditionStatus.FALSE, Reason.INVALID_SPEC, message)
    findings = (*standing_findings(Standing.STALLED, Reason.INVALID_SPEC, message), synced)
    generation = int(obj["metadata"].get("generation", 1))
    status = obj.get("status") or {}
    conditions = next_conditions(_former(status), findings, generation=generation, now=shell.clock())
    told = _Conditions(observed_generation=generation, conditions=conditions)
    kept = {name: value for name, value in status.items() if name not in {"conditions", "observedGeneration"}}
    await shell.reporter.write(resource, key_of(resource.kind, obj), obj, {**kept, **to_wire(told)})


def _former(status: dict[str, Any]) -> tuple[Condition, ...]:
    try:
        return _Conditions.model_validate(status).conditions
    except ValidationError:
        return ()
