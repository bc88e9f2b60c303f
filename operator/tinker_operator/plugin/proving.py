"""The proof of one checkpoint, as a CheckpointPolicy makes it: the same steps, with the key of the person who asks.

The journal, the steps and the verdicts are those of background validation; only that nothing is written down. Whatever
happens, the session of a proof is finished before the command ends.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy, CheckpointPolicySpec, RunSelector
from tinker_operator.api.meta import ObjectMeta
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import CandidateVerdict, Verdict
from tinker_operator.api.retention_spec import Retention
from tinker_operator.api.run_spec import RunSource, TrainingRunSpec
from tinker_operator.api.run_status import TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.api.validation_spec import CheckpointValidation
from tinker_operator.api.validation_status import CheckpointFinding, CheckpointProof
from tinker_operator.controllers.actuator import perform_remote
from tinker_operator.controllers.inspections import Inspections
from tinker_operator.controllers.sessions import BEAT_SECONDS
from tinker_operator.core.candidate_order import told
from tinker_operator.core.candidates import listed_objection, mismatch
from tinker_operator.core.policy_findings import finding
from tinker_operator.core.policy_proof import EXPENSIVE, finding_of, folded, is_finishing, next_errand
from tinker_operator.core.world import (
    Action,
    CheckpointMissing,
    Fault,
    InspectExport,
    ObservedCheckpoint,
    Outcome,
    ReadWeights,
    StillPending,
    WeightsRead,
)
from tinker_operator.plugin.endings import Failed
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import NotFound, TinkerError

PLACE = "kubectl"
"""First part of the mark on a run that is loaded for such a proof: no cluster, but somebody's command."""
PENDING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Proving:
    """What a proof needs.

    Attributes:
        client: The service.
        uid: A UUID of this proof's own.
        clock: Wall clock, timezone-aware.
    """

    client: TinkerClient
    uid: str
    clock: Callable[[], datetime]

    async def proven(
        self, run: TrainingRun | None, checkpoint: ObservedCheckpoint, level: ValidationLevel
    ) -> CheckpointFinding:
        """Returns the verdict.

        Args:
            run: The TrainingRun that would be restored from it; None to compare with the run that saved it.
            checkpoint: As the service lists it.
            level: How it is proven.

        Raises:
            Failed: The service failed, which says nothing of the checkpoint.
            TinkerError: It did not answer.
        """
        name = run.metadata.name if run is not None else ""
        objection = listed_objection(checkpoint, self.clock())
        if objection is not None or level is ValidationLevel.LISTED:
            return finding(checkpoint, name, level, objection)
        run = run or await self._saver(checkpoint)
        objection = await self._by_metadata(run, checkpoint)
        if objection is not None or level is ValidationLevel.METADATA:
            return finding(checkpoint, name, level, objection)
        return (await self._by_load(run, checkpoint, level)).model_copy(update={"training_run": name})

    async def _saver(self, checkpoint: ObservedCheckpoint) -> TrainingRun:
        """The run that saved it, in the form of one that would be restored."""
        try:
            saver = await self.client.get_training_run(checkpoint.run_id)
        except NotFound:
            raise Failed(
                f"The service has no run {checkpoint.run_id}: what the checkpoint is to be is not known."
            ) from None
        return TrainingRun(
            metadata=ObjectMeta(name="none"),
            spec=TrainingRunSpec(run=RunSource(training_run_id=checkpoint.run_id)),
            status=TrainingRunStatus(base_model=saver.base_model, lora_rank=saver.lora_rank),
        )

    async def _by_metadata(self, run: TrainingRun, it: ObservedCheckpoint) -> CandidateVerdict | None:
        outcome = await perform_remote(ReadWeights(it.path, it.run_id, it.time, it.size_bytes), None, self.client)
        match outcome:
            case WeightsRead(weights=weights):
                return mismatch(run, it, weights)
            case CheckpointMissing():
                return told(it, Verdict.MISSING, "It is listed, and the service lacks it.")
            case Fault(message=message):
                raise Failed(message)
            case _:
                raise Failed(f"{it.path} went or was saved again meanwhile: list the checkpoints, then try again.")

    async def _by_load(self, run: TrainingRun, it: ObservedCheckpoint, level: ValidationLevel) -> CheckpointFinding:
        policy, proof = self._asking(run, level), _begun(it, level, self.clock())
        beating: asyncio.Task[None] | None = None
        try:
            while not is_finishing(proof):
                proof = await self._further(policy, proof, run)
                if beating is None and proof.session_id is not None:
                    beating = asyncio.create_task(self._beats(proof.session_id))
        finally:
            if beating is not None:
                beating.cancel()
            with suppress(TinkerError):
                await self._finished(policy, proof, run)
        found = finding_of(proof)
        if found is None:
            raise Failed("The proof ended without a verdict: try again.")
        return found

    async def _further(self, policy: CheckpointPolicy, proof: CheckpointProof, run: TrainingRun) -> CheckpointProof:
        action = next_errand(policy, proof, run, PLACE).action
        outcome = await self._performed(action)
        step = folded(proof, run, action, outcome, self.clock())
        if isinstance(step, Fault):
            raise Failed(step.message)
        if isinstance(outcome, StillPending):
            await asyncio.sleep(PENDING_SECONDS)
        return step

    async def _beats(self, session_id: str) -> None:
        """A beat that is lost is made up for by the next one."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with suppress(TinkerError):
                await self.client.heartbeat(session_id)

    async def _performed(self, action: Action) -> Outcome:
        if not isinstance(action, InspectExport):
            return await perform_remote(action, None, self.client)
        inspections = Inspections(self.clock)
        keeping = asyncio.create_task(inspections.run())
        try:
            while isinstance(outcome := await inspections.inspect(action, self.client), StillPending):
                pass
            return outcome
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _finished(self, policy: CheckpointPolicy, proof: CheckpointProof, run: TrainingRun) -> None:
        """Of one whose session never came to be known there is nothing to finish."""
        if proof.session_id is not None:
            over = proof if is_finishing(proof) else proof.model_copy(update={"ended": True})
            await perform_remote(next_errand(policy, over, run, PLACE).action, None, self.client)

    def _asking(self, run: TrainingRun, level: ValidationLevel) -> CheckpointPolicy:
        """A policy that would ask for this proof; its uid makes the session this proof's own."""
        return CheckpointPolicy(
            metadata=ObjectMeta(name="validate", namespace=run.metadata.namespace, uid=self.uid),
            spec=CheckpointPolicySpec(
                selector=RunSelector(match_labels={}),
                retention=Retention(keep_last=1),
                validation=CheckpointValidation(level=level),
            ),
        )


def _begun(it: ObservedCheckpoint, level: ValidationLevel, now: datetime) -> CheckpointProof:
    assert level in EXPENSIVE  # noqa: S101 - the others need no session
    return CheckpointProof(
        number=1,
        path=it.path,
        time=it.time,
        size_bytes=it.size_bytes,
        training_run="none",
        level=level,
        started_at=now,
    )
