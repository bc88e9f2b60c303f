"""What an errand of background validation makes of a policy's section of status: folding and no more."""

from collections.abc import Mapping
from datetime import datetime

from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import Verdict
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.api.validation_status import CheckpointProof, PolicyValidationStatus
from tinker_operator.core.candidate_order import told
from tinker_operator.core.candidates import mismatch
from tinker_operator.core.policy_concern import Returned, set_back
from tinker_operator.core.policy_findings import finding, with_findings
from tinker_operator.core.policy_proof import ended, finding_of, folded
from tinker_operator.core.world import (
    CheckpointMissing,
    Fault,
    FinishSession,
    ObservedCheckpoint,
    Outcome,
    ReadWeights,
    WeightsRead,
)


def after_errand(
    section: PolicyValidationStatus,
    one: Returned,
    runs: Mapping[str, TrainingRun],
    now: datetime,
) -> PolicyValidationStatus:
    """Returns the section of status after one errand.

    Args:
        section: The section before.
        one: The errand, with what came of it.
        runs: The TrainingRuns of the namespace by name.
        now: When.
    """
    action, run = one.errand.action, runs[one.errand.training_run]
    if isinstance(action, ReadWeights):
        return _read(section, run, action, one.outcome, now)
    if section.in_flight is None:
        return section
    if isinstance(action, FinishSession):
        return section if isinstance(one.outcome, Fault) else _concluded(section, section.in_flight)
    step = folded(section.in_flight, run, action, one.outcome, now)
    if not isinstance(step, Fault):
        return section.model_copy(update={"in_flight": step})
    proof = ended(section.in_flight, one.outcome)
    setback = set_back(section.setback, step, proof.path, now)
    return section.model_copy(update={"in_flight": proof, "setback": setback})


def _concluded(section: PolicyValidationStatus, proof: CheckpointProof) -> PolicyValidationStatus:
    """A proof whose checkpoint is not listed any more as it was has no verdict by now: `reviewed` took it away."""
    over, found = section.model_copy(update={"in_flight": None}), finding_of(proof)
    return with_findings(over, found).model_copy(update={"setback": None}) if found is not None else over


def _read(
    section: PolicyValidationStatus, run: TrainingRun, action: ReadWeights, outcome: Outcome, now: datetime
) -> PolicyValidationStatus:
    it = ObservedCheckpoint(action.path, action.run_id, time=action.expected_time, size_bytes=action.expected_size)
    name, level = run.metadata.name, ValidationLevel.METADATA
    match outcome:
        case WeightsRead(weights=weights):
            found = finding(it, name, level, mismatch(run, it, weights))
        case CheckpointMissing():
            found = finding(it, name, level, told(it, Verdict.MISSING, "It is listed, and the service lacks it."))
        case Fault():
            return section.model_copy(update={"setback": set_back(section.setback, outcome, it.path, now)})
        case _:
            return section
    return with_findings(section, found).model_copy(update={"setback": None})
