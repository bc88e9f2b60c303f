"""Performs actions, one by one, and tells what came of each. Every action may be repeated after a crash."""

from tinker_operator.api.meta import OWNER_KEY
from tinker_operator.api.run_spec import CreateRun as CreateSpec
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.checkpoint_actions import StillDue, on_checkpoint
from tinker_operator.controllers.finalizers import set_finalizer
from tinker_operator.controllers.hooks import HookCaller
from tinker_operator.controllers.inspections import Inspections
from tinker_operator.controllers.jobs import create_trainer_job, delete_trainer_job
from tinker_operator.controllers.observer import HAND_OVER_ENTRY
from tinker_operator.controllers.refusals import refusal
from tinker_operator.controllers.translate import KEY_OR_PACE, fault_of, kube_fault
from tinker_operator.core.belongings import MANAGED_BY, owner_reference
from tinker_operator.core.world import (
    Action,
    BackendFailed,
    CallHook,
    ConfirmRun,
    CreateRun,
    CreateTrainerJob,
    DeleteCheckpoint,
    DeleteTrainerJob,
    Done,
    Fault,
    FinishSession,
    InspectExport,
    OpenSession,
    Outcome,
    PublishCheckpoint,
    ReadWeights,
    RestoreRun,
    RunMade,
    SessionOpened,
    SetCheckpointTtl,
    SetFinalizer,
    UnpublishCheckpoint,
    WriteHandOver,
)
from tinker_operator.engine.kube import CONFIG_MAPS, KubeApi, config_map
from tinker_operator.engine.kube_errors import KubeError
from tinker_operator.tinker.client import TinkerClient
from tinker_operator.tinker.errors import (
    BadRequest,
    Gone,
    NotFound,
    RouteMissing,
    StatusError,
    TinkerError,
)
from tinker_operator.tinker.models import LoraConfig
from tinker_operator.tinker.paths import TinkerPath

LOAD_WAIT_SECONDS = 15.0
"""How long one round waits for a load; a longer one is asked about again in the next round."""
SESSION_TAGS = ("tinker-operator",)


def _judged_just_now() -> bool:
    return True


async def perform_remote(
    action: Action, run: TrainingRun | None, client: TinkerClient, still_due: StillDue = _judged_just_now
) -> Outcome:
    """Performs an action at the service.

    Args:
        action: What to do.
        run: The object that it is done for; needed to create its run.
        client: The service.
        still_due: Asked right before a deletion.
    """
    try:
        match action:
            case OpenSession():
                return await _open(action, client)
            case CreateRun() if run is not None and run.spec.run.create is not None:
                return await _create(action, run.spec.run.create, client)
            case RestoreRun():
                return await _restore(action, client)
            case ConfirmRun():
                return await _confirm(action.run_id, client)
            case FinishSession():
                return await _finish(action, client)
            case DeleteCheckpoint() | SetCheckpointTtl() | ReadWeights() | PublishCheckpoint() | UnpublishCheckpoint():
                return await on_checkpoint(action, client, still_due)
            case _:
                raise AssertionError(f"not an action of the service: {action}")
    except TinkerError as error:
        return fault_of(error)


async def _open(action: OpenSession, client: TinkerClient) -> Outcome:
    session = await client.create_session(tags=SESSION_TAGS, user_metadata=action.metadata, idempotency_key=action.key)
    return SessionOpened(session)


async def _create(action: CreateRun, wanted: CreateSpec, client: TinkerClient) -> Outcome:
    lora = LoraConfig(
        rank=wanted.lora.rank,
        seed=wanted.lora.seed,
        train_unembed=wanted.lora.train_unembed,
        train_mlp=wanted.lora.train_mlp,
        train_attn=wanted.lora.train_attention,
    )
    try:
        run_id = await client.create_model(
            session_id=action.session_id,
            model_seq_id=action.model_seq_id,
            base_model=wanted.base_model,
            lora=lora,
            user_metadata=action.metadata,
            wait_seconds=LOAD_WAIT_SECONDS,
        )
    except TinkerError as error:
        return refusal(error)
    return await _confirm(run_id, client)


async def _restore(action: RestoreRun, client: TinkerClient) -> Outcome:
    try:
        run_id = await client.restore_run(
            session_id=action.session_id,
            model_seq_id=action.model_seq_id,
            path=TinkerPath.listed(action.checkpoint),
            optimizer=action.restore_optimizer,
            user_metadata=action.metadata,
            # A run that may never be loaded must not be found again as this object's own.
            blank_metadata={key: value for key, value in action.metadata.items() if key != OWNER_KEY},
            wait_seconds=LOAD_WAIT_SECONDS,
        )
    except TinkerError as error:
        return refusal(error)
    return await _confirm(run_id, client)


async def _confirm(run_id: str, client: TinkerClient) -> Outcome:
    try:
        info = await client.get_info(run_id)
    except (NotFound, BadRequest, Gone) as error:
        return BackendFailed(f"The run was made, but its model does not answer: {error}")
    except RouteMissing:
        return RunMade(run_id, None, None)
    return RunMade(run_id, info.base_model, info.lora_rank)


async def _finish(action: FinishSession, client: TinkerClient) -> Outcome:
    try:
        await client.finish_session(action.session_id, "success" if action.success else "errored", action.detail)
    except KEY_OR_PACE as error:
        return fault_of(error)
    except StatusError:
        # The service has answered and will not do it: a session without heartbeats ends by itself.
        return Done()
    return Done()


async def write_hand_over(action: WriteHandOver, run: TrainingRun, api: KubeApi) -> Outcome:
    """Makes the hand-over ConfigMap say what it should; it goes with its TrainingRun.

    One that appeared or changed since it was looked at is a conflict, never overwritten: it may be somebody else's.
    """
    owner = owner_reference(run)
    entries = {HAND_OVER_ENTRY: action.document}
    where = (run.metadata.namespace, action.states.config_map)
    try:
        if action.version is None:
            await api.create(CONFIG_MAPS, where[0], config_map(*where, entries, owner, MANAGED_BY))
        else:
            await api.apply_config_map(*where, entries, owner, MANAGED_BY, resource_version=action.version)
    except KubeError as error:
        return kube_fault(error)
    return Done()


async def perform(
    action: Action,
    run: TrainingRun | None,
    api: KubeApi,
    client: TinkerClient | Fault,
    still_due: StillDue = _judged_just_now,
    *,
    hooks: HookCaller | None = None,
    inspections: Inspections | None = None,
) -> Outcome:
    """Performs any action.

    Args:
        action: What to do.
        run: The object that it is done for.
        api: The Kubernetes API.
        client: The object's service, or why there is none.
        still_due: Asked right before a deletion.
        hooks: Who tells hooks; needed for those.
        inspections: Who looks into exports; needed for those.
    """
    match action:
        case CallHook() if run is not None and hooks is not None:
            return await hooks.call(action, run)
        case SetFinalizer(present=present) if run is not None:
            return await set_finalizer(run, api, present=present) or Done()
        case WriteHandOver() if run is not None:
            return await write_hand_over(action, run, api)
        case CreateTrainerJob() if run is not None:
            return await create_trainer_job(action, run, api, client)
        case DeleteTrainerJob() if run is not None:
            return await delete_trainer_job(action, run, api)
        case _:
            pass
    if isinstance(client, Fault):
        return client
    if isinstance(action, InspectExport) and inspections is not None:
        return await inspections.inspect(action, client)
    return await perform_remote(action, run, client, still_due)
