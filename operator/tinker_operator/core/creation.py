"""Making the run that spec.run.create describes, so that a crash at any point makes neither two nor none."""

from collections.abc import Mapping

from tinker_operator.api.meta import CHECKPOINT_KEY
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import Creation, HeldSession, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.decision import Decision, held_up, stalled, step
from tinker_operator.core.identity import fresh_status, next_lineage, origin_of, ownership, session_key
from tinker_operator.core.seen import RunSeen
from tinker_operator.core.world import (
    Absent,
    CreateRun,
    Fault,
    FinishSession,
    ObservedRun,
    OpenSession,
    RestoreRun,
    RunById,
    RunMade,
)

_MAKING = "The run is being made at the service."


def _message(status: TrainingRunStatus) -> str:
    failed = status.creation.refusal if status.creation else None
    return f"{_MAKING} The last try failed: {failed}" if failed else _MAKING


def continue_creation(run: TrainingRun, seen: RunSeen) -> Decision:
    """Decides about a TrainingRun whose run does not exist, as far as a complete listing can tell."""
    status, creation = run.status, run.status.creation
    if status.session is not None:
        done = FinishSession(status.session.session_id, success=True, detail="spec.run asks for another run")
        return step(status, Reason.CREATING, _MAKING, done)
    if creation is None:
        return step(_with(fresh_status(status), Creation()), Reason.CREATING, _MAKING)
    if creation.refused_generation == run.metadata.generation:
        message = f"The service refuses to make the run: {creation.refusal} Change spec.run.create."
        return stalled(status, Reason.CREATE_REFUSED, message)
    marks = ownership(run, seen.cluster_id, 0)
    if creation.session_id is None:
        opening = OpenSession(session_key(run, f"create/{creation.sessions}"), marks)
        return step(status, Reason.CREATING, _message(status), opening)
    answer = Absent() if creation.pending else seen.ask(RunById(f"{creation.session_id}:train:0"))
    match answer:
        case Fault():
            return held_up(status, Reason.CREATING, _message(status), answer)
        case ObservedRun() if not _begins_with_a_checkpoint(run):
            return step(created(run, answer.run_id), Reason.CREATING, _message(status))
        case _:
            return step(status, Reason.CREATING, _message(status), _making(run, creation.session_id, marks))


def _begins_with_a_checkpoint(run: TrainingRun) -> bool:
    """Such a run exists before its weights have loaded; only the result of the load, asked for again, proves it."""
    create = run.spec.run.create
    return create is not None and create.source is not None


def _making(run: TrainingRun, session_id: str, marks: Mapping[str, str]) -> CreateRun | RestoreRun:
    create = run.spec.run.create
    metadata = {**((create.user_metadata if create else None) or {}), **marks}
    if create is None or create.source is None:
        return CreateRun(session_id, 0, metadata)
    source = create.source
    marked = {**metadata, CHECKPOINT_KEY: source.checkpoint}
    return RestoreRun(session_id, 0, source.checkpoint, source.restore_optimizer, marked)


def created(run: TrainingRun, run_id: str) -> TrainingRunStatus:
    """Returns the status with the run that was made as the current one, in the session that was journalled."""
    creation = run.status.creation
    session = creation.session_id if creation else None
    return run.status.model_copy(
        update={
            "origin": origin_of(run),
            "training_run_id": run_id,
            "lineage": next_lineage(run, run_id),
            "session": HeldSession(session_id=session, training_run_id=run_id) if session else None,
            "creation": None,
        }
    )


def made(run: TrainingRun, outcome: RunMade) -> TrainingRunStatus:
    """Returns the status with the run that was made, unless it is not what spec asks for: its checkpoint decided."""
    create = run.spec.run.create
    if create is not None and outcome.base_model not in {None, create.base_model}:
        message = f"The checkpoint of spec.run.create.from is of base model {outcome.base_model}."
        return refused(run, message)
    if create is not None and outcome.lora_rank not in {None, create.lora.rank}:
        return refused(run, f"The checkpoint of spec.run.create.from has LoRA rank {outcome.lora_rank}.")
    return created(run, outcome.run_id)


def refused(run: TrainingRun, message: str) -> TrainingRunStatus:
    """Returns the status after the service refused: nothing is asked again until the spec changes."""
    generation = run.metadata.generation
    return _given_up(run, Creation(sessions=_next_session(run), refused_generation=generation, refusal=message[:1024]))


def session_lost(run: TrainingRun, message: str) -> TrainingRunStatus:
    """Returns the status that asks for another session: in the first one the same answer would come for ever."""
    return _given_up(run, Creation(sessions=_next_session(run), refusal=message[:1024]))


def _given_up(run: TrainingRun, creation: Creation) -> TrainingRunStatus:
    """The session is finished before all else: a run that was made in it after all must not stand beside the next."""
    session = run.status.creation.session_id if run.status.creation else None
    held = HeldSession(session_id=session) if session is not None else run.status.session
    return _with(run.status, creation).model_copy(update={"session": held})


def _next_session(run: TrainingRun) -> int:
    return (run.status.creation or Creation()).sessions + 1


def session_opened(run: TrainingRun, session_id: str) -> TrainingRunStatus:
    """Returns the status with the session journalled."""
    creation = run.status.creation or Creation()
    return _with(run.status, creation.model_copy(update={"session_id": session_id}))


def _with(status: TrainingRunStatus, creation: Creation) -> TrainingRunStatus:
    return status.model_copy(update={"creation": creation})
