"""CheckpointPolicy: observe, plan, act, report. Every branch is in `core`; this is the order of the four.

Listing takes time, and so does deleting, while the cluster goes on. So what the cluster says is read from the store
after the last listing, and once more right before each deletion, with no await in between. A run of which nothing says
that it changed is not listed again, unless something is at stake there.
"""

from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.policy_status import CheckpointPolicyStatus
from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.controllers.actuator import perform
from tinker_operator.controllers.exports import see_to_export
from tinker_operator.controllers.held_up import settled
from tinker_operator.controllers.invalid import report_invalid
from tinker_operator.controllers.journal import NOT_KEPT
from tinker_operator.controllers.objects import (
    CHECKPOINT_POLICIES,
    account_of,
    checkpoint_policies,
    known_references,
    parsed,
    training_runs,
    unparsed,
)
from tinker_operator.controllers.policy_concerns import act_on_concerns, with_concerns
from tinker_operator.controllers.policy_listings import Listings, PassListings, changing, place_of
from tinker_operator.controllers.shell import NOT_ASKED, Shell
from tinker_operator.core.export_references import with_exports
from tinker_operator.core.policy import PolicyPlan, conclude, next_policy_status, plan_policy, still_due
from tinker_operator.core.policy_concern import soonest
from tinker_operator.core.policy_export import (
    ExportPlan,
    export_status,
    look_again,
    plan_export,
    seen_to,
)
from tinker_operator.core.policy_figures import deletions, figures
from tinker_operator.core.policy_publishing import PublishingPlan, plan_publishing
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_relisting import to_list_anew
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.policy_telling import policy_events
from tinker_operator.core.policy_validation import ValidationPlan, plan_validation
from tinker_operator.core.policy_verdicts import with_proofs
from tinker_operator.core.run_status import Requeue, outcome_fault, requeue
from tinker_operator.core.schedule import with_conflict
from tinker_operator.core.world import (
    DeleteCheckpoint,
    Fault,
    Performed,
    RunView,
    SetCheckpointTtl,
)
from tinker_operator.engine.keys import KubeObject, ObjectKey

_DOUBTED = Fault(Reason.OBSERVING, "The newest look at the service failed; the next one has to agree.")


@dataclass(frozen=True, slots=True)
class _View:
    """What a pass knows, and what it is going to do.

    Attributes:
        listings: What was listed.
        seen: That, with what the inventories and the cluster say.
        plan: What retention makes of it.
        concerns: What publishing and validation make of it.
        exports: What exports make of it.
    """

    listings: Listings
    seen: PolicySeen
    plan: PolicyPlan
    concerns: tuple[PublishingPlan, ValidationPlan]
    exports: ExportPlan


async def reconcile_checkpoint_policy(shell: Shell, key: ObjectKey) -> float | None:
    """Brings one CheckpointPolicy forward: lists, judges, deletes what it announced, announces what goes next, tells.

    Returns:
        Seconds until the next look; None for not before something changes.

    Raises:
        HeldUp: A listing or a deletion failed, or the journal was not kept; the work queue backs off.
        WriteConflict: The object changed meanwhile.
    """
    obj = shell.store.get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    try:
        policy = CheckpointPolicy.model_validate(obj)
    except ValidationError as error:
        await report_invalid(shell, CHECKPOINT_POLICIES, obj, error)
        return None
    view = await _viewed(shell, policy, obj)
    seen, plan, listings = view.seen, view.plan, view.listings
    performed = await _act(shell, policy, plan, seen, listings)
    told = None if plan.blind else figures(plan, performed, shell.clock())
    shell.figures.tell(key, policy.metadata.uid, told, deletions(plan, performed))
    done = await act_on_concerns(shell, policy, seen, view.concerns, partial(_seen, shell, policy, listings))
    exports = await _exported(shell, policy, view.exports)
    status = next_policy_status(policy, seen, plan, performed, shell.clock())
    status = with_conflict(policy, status, seen, shell.clock())
    status, wake = with_concerns(shell, policy, status, done)
    status = export_status(policy, exports, status, shell.clock())
    await shell.reporter.report(CHECKPOINT_POLICIES, key, obj, status, policy_events(policy.status, status))
    if not _is_kept(shell, key, status):
        return settled(Requeue(backed_off=True), NOT_KEPT)
    trouble = outcome_fault(performed) or next(iter(plan.gaps.values()), None)
    after = settled(requeue(conclude(plan, performed), performed), trouble)
    return soonest(after, wake, look_again(policy, status, shell.clock()))


async def _viewed(shell: Shell, policy: CheckpointPolicy, obj: KubeObject) -> _View:
    """Lists and plans, until all that is at stake was listed in this pass; whatever is done then was planned here."""
    listings = PassListings()
    while True:
        await listings.fill(shell, policy, obj)
        now, seen = shell.clock(), _seen(shell, policy, listings.answers)
        plan = plan_policy(policy, seen, now)
        publishing = plan_publishing(policy, seen, plan, now)
        validation = plan_validation(policy, seen, plan, shell.cluster_id, now)
        exports = plan_export(policy, plan, now)
        stakes = to_list_anew(policy, seen, plan, publishing=publishing, validation=validation, exports=exports)
        if not listings.distrust(stakes):
            return _View(listings.answers, seen, plan, (publishing, validation), exports)


async def _exported(shell: Shell, policy: CheckpointPolicy, exports: ExportPlan) -> ExportPlan:
    """Sees to the Jobs of exports; whatever comes of it, retention and its report go on."""
    runs = {it.metadata.name: it for it in training_runs(shell.store, policy.metadata.namespace)}
    for turn in exports.due:
        run = runs.get(turn.record.training_run)
        client = shell.client_of(run) if run is not None else NOT_ASKED
        fate = await see_to_export(
            turn.record, policy, run, shell.api, image=shell.export_image, client=client, make=turn.make
        )
        exports = seen_to(exports, turn, fate, shell.clock())
    return exports


def _seen(shell: Shell, policy: CheckpointPolicy, listings: Listings) -> PolicySeen:
    unreadable, own = unparsed(shell.store), training_runs(shell.store, policy.metadata.namespace)
    governed = tuple(_governed(shell, run, listings, unreadable) for run in own)
    policies = tuple(checkpoint_policies(shell.store))
    known = with_proofs(known_references(shell.store), policies)
    return PolicySeen(governed, policies, with_exports(known, policies, governed))


def _governed(shell: Shell, run: TrainingRun, listings: Listings, unreadable: Fault | None) -> Governed:
    inventory = shell.services.inventory_of(account_of(run))
    gap = unreadable or (_DOUBTED if inventory.doubt is not None else None)
    views: dict[str, RunView] = {run_id: gap or inventory.view(run_id) for run_id in followed_runs(run)}
    return Governed(run, views, listings.get(place_of(run), {}))


async def _act(
    shell: Shell, policy: CheckpointPolicy, plan: PolicyPlan, seen: PolicySeen, listings: Listings
) -> tuple[Performed, ...]:
    """Performs extensions and deletions; after a failure nothing more of its TrainingRun is tried in this round."""
    by_name = {one.run.metadata.name: one.run for one in seen.governed}
    performed: list[Performed] = []
    troubled: set[str] = set()
    for action in plan.plan.actions:
        if not isinstance(action, DeleteCheckpoint | SetCheckpointTtl):
            continue
        if (name := plan.training_run_of(action.path)) in troubled:
            continue
        run, due = by_name[name], partial(_still_due, shell, policy, listings, action)
        with changing(shell, run):
            performed.append(Performed(action, await perform(action, run, shell.api, shell.client_of(run), due)))
        if isinstance(performed[-1].outcome, Fault):
            troubled.add(name)
    return tuple(performed)


def _still_due(
    shell: Shell, policy: CheckpointPolicy, listings: Listings, action: DeleteCheckpoint | SetCheckpointTtl
) -> bool:
    key = ObjectKey(CHECKPOINT_POLICIES.kind, policy.metadata.namespace, policy.metadata.name)
    now = parsed(CheckpointPolicy, shell.store.get(key))
    return still_due(action, policy, now, _seen(shell, policy, listings), shell.clock())


def _is_kept(shell: Shell, key: ObjectKey, status: CheckpointPolicyStatus) -> bool:
    """An API server with an older schema drops the journal silently: without this look it would be written for ever."""
    stored = parsed(CheckpointPolicy, shell.store.get(key))
    return stored is None or _memory(stored.status) == _memory(status)


def _memory(status: CheckpointPolicyStatus) -> tuple[object, ...]:
    journals = status.deleting, status.marked, status.recent_deletions
    return *journals, status.validation, status.publishing, status.exports
