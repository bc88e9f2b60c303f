"""Publishing by a CheckpointPolicy: the best or the newest checkpoint of each TrainingRun is public, and no other one.

What is to become public stands in status one round before it does: so what is public later, and stands there, is this
policy's. Nothing else is ever taken back. The new one is public before the old one is taken back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.publish_spec import Publish
from tinker_operator.api.validation_status import PUBLISHED_LIMIT, PublishedCheckpoint, PublishingStatus, Setback
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.policy import PolicyPlan
from tinker_operator.core.policy_concern import Errand, Returned, seconds_until, set_back, waits
from tinker_operator.core.policy_judgement import policy_key
from tinker_operator.core.policy_publish_wish import Wish, lacks, listed_by_path, publisher_of, publishes, wish_of
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import PolicySeen, governed_by, gravity
from tinker_operator.core.policy_verdicts import identity
from tinker_operator.core.world import (
    Done,
    Fault,
    PreconditionFailed,
    PublishCheckpoint,
    UnpublishCheckpoint,
)

CALLS_PER_PASS = 10
"""Checkpoints that are published, and that are taken back, in one pass."""
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PublishingPlan:
    """What to do now.

    Attributes:
        entries: The journal before anything comes of the errands.
        setback: Trouble that is being waited for.
        errands: What to do, in order.
        fresh: Whether the journal announces something that it did not before.
        without: TrainingRuns that have nothing to publish, by name.
        left_to: The older policies, as namespace/name, that publish of the same runs.
        unseen: Why the checkpoints of some TrainingRun cannot be seen; None when all are.
    """

    entries: tuple[PublishedCheckpoint, ...] = ()
    setback: Setback | None = None
    errands: tuple[Errand, ...] = ()
    fresh: bool = False
    without: tuple[str, ...] = ()
    left_to: tuple[str, ...] = ()
    unseen: Fault | None = None


def plan_publishing(policy: CheckpointPolicy, seen: PolicySeen, plan: PolicyPlan, now: datetime) -> PublishingPlan:
    """Returns what to publish and what to take back now.

    Args:
        policy: The policy, with its journal.
        seen: What was observed.
        plan: What retention makes of it.
        now: The time.
    """
    section = policy.status.publishing or PublishingStatus()
    if policy.spec.suspend:
        return PublishingPlan(section.checkpoints, section.setback)
    governed = governed_by(policy, seen)
    winners = {one.run.metadata.name: publisher_of(one, policy, seen) for one in governed}
    own = policy_key(policy)
    wishes = {
        one.run.metadata.name: wish_of(policy, one, seen, plan, now)
        if publishes(policy) and winners[one.run.metadata.name] == own
        else Wish(listed_by_path(one, plan), retracts=True)
        for one in governed
    }
    # A TrainingRun that is not governed any more still has the key to take back with; one that is gone has none.
    strays = {one.run.metadata.name: Wish(None, retracts=True) for one in seen.governed}
    follows = {one.run.metadata.name: frozenset(followed_runs(one.run)) for one in seen.governed}
    standing = _standing(section.checkpoints, {**strays, **wishes}, follows)
    waiting = waits(section.setback, now)
    wanted = _announced(standing, wishes)
    fresh = () if waiting else _room_for(standing, wanted)
    crowded_out = {it.training_run for it in wanted} - {it.training_run for it in _room_for(standing, wanted)}
    stuck = section.setback.path if section.setback is not None else None
    errands = () if waiting else _errands(standing, {**strays, **wishes}, follows, stuck)
    asked = policy.spec.publish is not Publish.NONE
    unseen = min(plan.gaps.values(), key=gravity, default=None)
    return PublishingPlan(
        entries=(*standing, *fresh),
        setback=section.setback,
        errands=errands,
        fresh=bool(fresh),
        without=tuple(name for name, wish in wishes.items() if lacks(wish) or name in crowded_out),
        left_to=tuple(sorted({"/".join(key) for key in winners.values() if key != own})) if asked else (),
        unseen=unseen,
    )


def next_publishing(plan: PublishingPlan, returned: Iterable[Returned], now: datetime) -> PublishingStatus | None:
    """Returns the section of status after the errands; None when nothing stands in it.

    Args:
        plan: The plan of this pass.
        returned: What came of its errands, in order.
        now: When.
    """
    entries, setback = {identity(it): it for it in plan.entries}, plan.setback
    for one in returned:
        action = one.errand.action
        if not isinstance(action, PublishCheckpoint | UnpublishCheckpoint):
            continue
        key = (action.path, action.expected_time, action.expected_size)
        match one.outcome:
            case Done() if isinstance(action, PublishCheckpoint) and key in entries:
                entries[key], setback = entries[key].model_copy(update={"public": True}), None
            case PreconditionFailed() if isinstance(action, PublishCheckpoint):
                # It may be public by a call of ours that was answered late: the next listing tells.
                setback = None
            case Done() | PreconditionFailed():
                entries.pop(key, None)
                setback = None
            case Fault() as fault:
                setback = set_back(setback, fault, action.path, now)
                # What the service will not do was not done, so whoever does it meanwhile is somebody else.
                if fault.needs_user and isinstance(action, PublishCheckpoint):
                    entries.pop(key, None)
            case _:
                pass
    quiet = not plan.errands and not waits(setback, now)
    setback = None if quiet else setback
    return PublishingStatus(checkpoints=tuple(entries.values()), setback=setback) if entries or setback else None


def publishing_wake(
    plan: PublishingPlan, after: PublishingStatus | None, returned: Sequence[Returned], now: datetime
) -> float | None:
    """Returns the seconds until the next step; None when there is none to wait for.

    What was refused right before it was done is judged anew at the next look and never at once.

    Args:
        plan: The plan of this pass.
        after: What `next_publishing` returned.
        returned: What came of the errands.
        now: The time.
    """
    if after is not None and after.setback is not None:
        return seconds_until(after.setback.retry_time, now)
    if any(not isinstance(one.outcome, Done) for one in returned):
        return None
    return AT_ONCE if plan.fresh or returned else None


def _standing(
    entries: Iterable[PublishedCheckpoint], wishes: Mapping[str, Wish], follows: Mapping[str, frozenset[str]]
) -> tuple[PublishedCheckpoint, ...]:
    """Returns the entries that stand: what was announced and is public is ours, what is gone or private is dropped."""
    found = ((entry, _wish_for(entry, wishes, follows)) for entry in entries)
    stood = (_stood(entry, wish) if wish is not None else entry for entry, wish in found)
    return tuple(it for it in stood if it is not None)


def _stood(entry: PublishedCheckpoint, wish: Wish) -> PublishedCheckpoint | None:
    if wish.listed is None:
        return entry
    now = wish.listed.get(entry.path)
    if now is None or identity(now) != identity(entry):
        return None
    if now.public:
        return entry.model_copy(update={"public": True})
    wanted = wish.target is not None and identity(wish.target) == identity(entry)
    return entry.model_copy(update={"public": False}) if wanted else None


def _announced(standing: Iterable[PublishedCheckpoint], wishes: Mapping[str, Wish]) -> tuple[PublishedCheckpoint, ...]:
    """Returns the targets that are private and not announced yet; one that is public already is somebody else's."""
    known = {identity(entry) for entry in standing}
    targets = {name: wish.target for name, wish in wishes.items() if wish.target is not None}
    private = {identity(it): (name, it) for name, it in targets.items() if not it.public and identity(it) not in known}
    return tuple(
        PublishedCheckpoint(path=it.path, time=it.time, size_bytes=it.size_bytes, training_run=name)
        for name, it in private.values()
    )


def _room_for(
    standing: Iterable[PublishedCheckpoint], wanted: Sequence[PublishedCheckpoint]
) -> tuple[PublishedCheckpoint, ...]:
    """Returns what the journal has room for: it is bounded by TrainingRuns, so that one that is in it can move on."""
    known = {entry.training_run for entry in standing}
    moving = [it for it in wanted if it.training_run in known]
    coming = [it for it in wanted if it.training_run not in known]
    return (*moving, *coming[: max(0, PUBLISHED_LIMIT - len(known))])


def _wish_for(
    entry: PublishedCheckpoint, wishes: Mapping[str, Wish], follows: Mapping[str, frozenset[str]]
) -> Wish | None:
    """Listings of other runs say nothing of it: a TrainingRun that left its run takes it back, an unbound one waits."""
    here, wish = follows.get(entry.training_run, frozenset()), wishes.get(entry.training_run)
    return wish if wish is None or _run_of(entry.path) in here else Wish(None, retracts=bool(here))


def _errands(
    standing: Iterable[PublishedCheckpoint],
    wishes: Mapping[str, Wish],
    follows: Mapping[str, frozenset[str]],
    stuck: str | None,
) -> tuple[Errand, ...]:
    """Returns what to do, beginning behind the one that met trouble, so that it holds up no other."""
    publish: list[tuple[str, Errand]] = []
    retract: list[tuple[str, Errand]] = []
    wanted = {identity(wish.target) for wish in wishes.values() if wish.target is not None}
    for entry in standing:
        wish = _wish_for(entry, wishes, follows)
        if wish is None:
            continue
        if identity(entry) in wanted:
            publish += [] if entry.public or wish.target is None else [(entry.path, _publishing(entry))]
        elif wish.retracts or (wish.target is not None and wish.target.public):
            retract.append((entry.path, _retracting(entry)))
    every = (*publish, *retract)
    last = next((place for place, (path, _) in enumerate(every) if path == stuck), -1)
    turned = (*every[last + 1 :], *every[: last + 1])
    return tuple(errand for _, errand in turned[: 2 * CALLS_PER_PASS])


def _publishing(entry: PublishedCheckpoint) -> Errand:
    action = PublishCheckpoint(entry.path, _run_of(entry.path), entry.time, entry.size_bytes)
    return Errand(entry.training_run, action)


def _retracting(entry: PublishedCheckpoint) -> Errand:
    action = UnpublishCheckpoint(entry.path, _run_of(entry.path), entry.time, entry.size_bytes)
    return Errand(entry.training_run, action)


def _run_of(path: str) -> str:
    return path.removeprefix("tinker://").partition("/")[0]
