"""Tables of a CheckpointPolicy: what is planned, when it looks again, and what its status says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from tests.core.legality import illegalities
from tests.core.strategies_policy import (
    HOUR,
    NAMESPACE,
    NOW,
    UNREACHABLE,
    WRONG_KEY,
    checkpoint,
    deleted_paths,
    path,
    policy,
    training_run,
)

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import (
    SHOWN_LIMIT,
    CheckpointPolicyStatus,
    DeletingCheckpoint,
    DueCheckpoint,
    KeepReason,
)
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.recovery_spec import Recovery
from tinker_operator.api.retention_spec import RetentionAction
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.policy import PolicyPlan, conclude, next_policy_status, plan_policy, still_due
from tinker_operator.core.policy_journal import DELETIONS_PER_PASS
from tinker_operator.core.policy_references import followed_runs, references
from tinker_operator.core.policy_seen import Governed, PolicySeen, governs, policy_questions
from tinker_operator.core.world import (
    Absent,
    Answer,
    CheckpointsOf,
    DeleteCheckpoint,
    Done,
    Fault,
    ObservedCheckpoint,
    ObservedRun,
    Outcome,
    Performed,
    PreconditionFailed,
    Question,
    RunView,
)

pytestmark = pytest.mark.pure

REPORT = RetentionAction.REPORT
LISTING = (checkpoint("old", 9), checkpoint("older", 10), checkpoint("new", 1))
OLD, OLDER, NEW = (path("r1", name) for name in ("old", "older", "new"))


def governed(
    run: TrainingRun | None = None,
    listings: Mapping[str, Answer] | None = None,
    views: Mapping[str, RunView] | None = None,
) -> Governed:
    """A TrainingRun whose runs all live, and of which r1 lists three checkpoints, unless it is said otherwise."""
    run = run or training_run()
    answers: dict[Question, Answer] = {CheckpointsOf(it): () for it in followed_runs(run)}
    answers |= {CheckpointsOf(it): answer for it, answer in (listings or {"r1": LISTING}).items()}
    live: dict[str, RunView] = {it: ObservedRun(it, "base") for it in followed_runs(run)}
    return Governed(run, live | dict(views or {}), answers)


def seen(*runs: Governed, policies: tuple[CheckpointPolicy, ...] = ()) -> PolicySeen:
    return PolicySeen(runs, policies, references(it.run for it in runs))


def announced(asked: CheckpointPolicy, world: PolicySeen) -> CheckpointPolicy:
    """The policy one round later: what goes next is in its status, and nothing has been deleted yet."""
    status = next_policy_status(asked, world, plan_policy(asked, world, NOW), (), NOW)
    return asked.model_copy(update={"status": status})


def plan_of(asked: CheckpointPolicy, world: PolicySeen) -> PolicyPlan:
    return plan_policy(announced(asked, world), world, NOW)


def status_of(asked: CheckpointPolicy, world: PolicySeen, *outcomes: Outcome) -> CheckpointPolicyStatus:
    asked = announced(asked, world)
    plan = plan_policy(asked, world, NOW)
    performed = tuple(map(Performed, plan.plan.actions, outcomes))
    status = next_policy_status(asked, world, plan, performed, NOW)
    assert illegalities(asked.metadata.generation, status.observed_generation, status.conditions) == []
    return status


def told(status: CheckpointPolicyStatus, kind: ConditionType) -> tuple[ConditionStatus, str]:
    condition = find_condition(status.conditions, kind)
    assert condition is not None
    return condition.status, condition.reason


TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
DONE = (Done(), Done())
ASKED, WORLD = policy(), seen(governed())
LOST: Mapping[str, RunView] = {"r1": Absent(agreeing=1)}
GONE: Mapping[str, RunView] = {"r1": Absent(agreeing=2)}


@dataclass(frozen=True)
class Case:
    """One TrainingRun `sft` with three checkpoints under a policy of keepLast 1, so that two are due."""

    says: str
    ready: tuple[ConditionStatus, Reason]
    synced: tuple[ConditionStatus, Reason] = (TRUE, Reason.OBSERVED)
    companion: ConditionType | None = None
    deletes: tuple[str, ...] = ()
    asked: CheckpointPolicy = ASKED
    world: PolicySeen = WORLD
    outcomes: tuple[Outcome, ...] = ()
    retry: bool = False


RECONCILING, STALLED = ConditionType.RECONCILING, ConditionType.STALLED
CASES = [
    Case(
        "what is due is deleted, oldest first, and the policy is enforced",
        (TRUE, Reason.ENFORCED),
        deletes=(OLDER, OLD),
        outcomes=DONE,
    ),
    Case("Report deletes nothing", (TRUE, Reason.REPORTED), asked=policy(action=REPORT)),
    Case("suspended, nothing is deleted", (FALSE, Reason.SUSPENDED), asked=policy(suspend=True)),
    Case("nothing matches the selector", (TRUE, Reason.NO_RUNS), asked=policy(labels={"team": "math"})),
    Case("suspended and nothing matches", (FALSE, Reason.SUSPENDED), asked=policy(labels={"a": "b"}, suspend=True)),
    Case(
        "a TrainingRun that is not bound yet has nothing to keep in order",
        (TRUE, Reason.ENFORCED),
        world=seen(governed(training_run(lineage=(), current=None))),
    ),
    Case(
        "what is not performed yet is pending",
        (FALSE, Reason.DELETING),
        companion=RECONCILING,
        deletes=(OLDER, OLD),
        outcomes=(Done(),),
    ),
    Case(
        "a checkpoint that changed meanwhile is judged anew",
        (FALSE, Reason.DELETING),
        companion=RECONCILING,
        deletes=(OLDER, OLD),
        outcomes=(Done(), PreconditionFailed("it has another time now")),
    ),
    Case(
        "a deletion that fails is tried again",
        (FALSE, Reason.SERVICE_UNREACHABLE),
        (FALSE, Reason.SERVICE_UNREACHABLE),
        RECONCILING,
        deletes=(OLDER, OLD),
        outcomes=(Done(), UNREACHABLE),
        retry=True,
    ),
    Case(
        "a deletion that the key does not allow waits for a person",
        (FALSE, Reason.UNAUTHORIZED),
        (FALSE, Reason.UNAUTHORIZED),
        STALLED,
        deletes=(OLDER, OLD),
        outcomes=(WRONG_KEY,),
    ),
    Case(
        "a listing that fails deletes nothing",
        (FALSE, Reason.SERVICE_UNREACHABLE),
        (FALSE, Reason.SERVICE_UNREACHABLE),
        RECONCILING,
        world=seen(governed(listings={"r1": UNREACHABLE})),
        retry=True,
    ),
    Case(
        "a listing of a former run that fails deletes nothing of the present one",
        (FALSE, Reason.SERVICE_UNREACHABLE),
        (FALSE, Reason.SERVICE_UNREACHABLE),
        RECONCILING,
        world=seen(governed(training_run(lineage=("r0", "r1")), {"r0": UNREACHABLE, "r1": LISTING})),
        retry=True,
    ),
    Case(
        "a run that cannot be looked at deletes nothing though it was listed",
        (FALSE, Reason.SERVICE_UNREACHABLE),
        (FALSE, Reason.SERVICE_UNREACHABLE),
        RECONCILING,
        world=seen(governed(views={"r1": UNREACHABLE})),
        retry=True,
    ),
    Case(
        "a wrong key waits for a person",
        (FALSE, Reason.UNAUTHORIZED),
        (FALSE, Reason.UNAUTHORIZED),
        STALLED,
        world=seen(governed(listings={"r1": WRONG_KEY})),
    ),
    Case(
        "what a person must mend is told before what passes by itself",
        (FALSE, Reason.UNAUTHORIZED),
        (FALSE, Reason.UNAUTHORIZED),
        STALLED,
        world=seen(governed(listings={"r1": UNREACHABLE}, views={"r1": WRONG_KEY})),
    ),
    Case(
        "before the first look nothing is known",
        (FALSE, Reason.OBSERVING),
        (UNKNOWN, Reason.OBSERVING),
        RECONCILING,
        world=seen(governed(views={"r1": None})),
        retry=True,
    ),
    Case(
        "before the first listing nothing is known",
        (FALSE, Reason.OBSERVING),
        (UNKNOWN, Reason.OBSERVING),
        RECONCILING,
        world=seen(replace(governed(), answers={})),
        retry=True,
    ),
    Case(
        "a current run that one look does not find must be confirmed",
        (FALSE, Reason.CONFIRMING),
        (FALSE, Reason.CONFIRMING),
        RECONCILING,
        world=seen(governed(views=LOST)),
        retry=True,
    ),
    Case(
        "a current run without a listing of checkpoints must be confirmed",
        (FALSE, Reason.CONFIRMING),
        (FALSE, Reason.CONFIRMING),
        RECONCILING,
        world=seen(governed(listings={"r1": Absent()})),
        retry=True,
    ),
    Case(
        "a current run that is surely gone waits for a person",
        (FALSE, Reason.RUN_NOT_FOUND),
        (FALSE, Reason.RUN_NOT_FOUND),
        STALLED,
        world=seen(governed(listings={"r1": Absent()}, views=GONE)),
    ),
    Case(
        "a former run that is gone counts as empty",
        (TRUE, Reason.ENFORCED),
        deletes=(OLDER, OLD),
        outcomes=DONE,
        world=seen(
            governed(training_run(lineage=("r0", "r1")), {"r0": Absent(), "r1": LISTING}, {"r0": Absent(agreeing=2)})
        ),
    ),
    Case(
        "a former run that is gone and yet lists checkpoints is a contradiction",
        (FALSE, Reason.INCOMPLETE_LISTING),
        (FALSE, Reason.INCOMPLETE_LISTING),
        RECONCILING,
        world=seen(
            governed(
                training_run(lineage=("r0", "r1")),
                {"r0": (checkpoint("x", 5, run_id="r0"),), "r1": LISTING},
                {"r0": Absent(agreeing=2)},
            )
        ),
        retry=True,
    ),
    Case(
        "trouble of one TrainingRun does not hold up another",
        (FALSE, Reason.SERVICE_UNREACHABLE),
        (FALSE, Reason.SERVICE_UNREACHABLE),
        RECONCILING,
        deletes=(OLDER, OLD),
        outcomes=DONE,
        world=seen(governed(), governed(training_run("two", lineage=("r2",), current="r2"), {"r2": UNREACHABLE})),
        retry=True,
    ),
    Case(
        "what two TrainingRuns share waits for both",
        (FALSE, Reason.SERVICE_UNREACHABLE),
        (FALSE, Reason.SERVICE_UNREACHABLE),
        RECONCILING,
        world=seen(
            governed(),
            governed(training_run("two", lineage=("r1", "r2"), current="r2"), {"r1": LISTING, "r2": UNREACHABLE}),
        ),
        retry=True,
    ),
    Case(
        "another policy that only reports keeps all",
        (TRUE, Reason.ENFORCED),
        world=seen(governed(), policies=(policy(), policy("other", action=REPORT))),
    ),
    Case(
        "another policy that is suspended keeps all",
        (TRUE, Reason.ENFORCED),
        world=seen(governed(), policies=(policy("other", suspend=True),)),
    ),
    Case(
        "another policy that keeps two leaves one to delete",
        (TRUE, Reason.ENFORCED),
        deletes=(OLDER,),
        outcomes=(Done(),),
        world=seen(governed(), policies=(policy("other", keep_last=2),)),
    ),
    Case(
        "a policy of another namespace has no say",
        (TRUE, Reason.ENFORCED),
        deletes=(OLDER, OLD),
        outcomes=DONE,
        world=seen(governed(), policies=(policy("other", namespace="elsewhere", action=REPORT),)),
    ),
    Case(
        "a policy with other labels has no say",
        (TRUE, Reason.ENFORCED),
        deletes=(OLDER, OLD),
        outcomes=DONE,
        world=seen(governed(), policies=(policy("other", labels={"team": "bio"}, action=REPORT),)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_a_policy_plans_and_tells(case: Case) -> None:
    plan = plan_of(case.asked, case.world)
    performed = tuple(map(Performed, plan.plan.actions, case.outcomes))
    status = status_of(case.asked, case.world, *case.outcomes)
    companions = [it.type for it in status.conditions if it.type in {RECONCILING, STALLED}]
    assert deleted_paths(plan.plan.actions) == list(case.deletes)
    assert told(status, ConditionType.READY) == case.ready
    assert told(status, ConditionType.SYNCED) == case.synced
    assert companions == ([case.companion] if case.companion else [])
    assert conclude(plan, performed).retry == case.retry
    assert conclude(plan, performed).wake_after == (30 if governs(case.asked, training_run()) else None)


def test_a_policy_that_shares_a_run_through_another_training_run_has_a_say() -> None:
    """`keep` governs sft only; `other` governs two, which follows the same run and keeps two of it."""
    ours, theirs = training_run(labels={"team": "math"}), training_run("two", labels={"team": "bio"})
    other = policy("other", labels={"team": "bio"}, keep_last=2)
    asked = policy(labels={"team": "math"})
    world = PolicySeen((governed(ours),), (asked, other), references((ours, theirs)))
    assert deleted_paths(plan_of(asked, world).plan.actions) == [OLDER]


def test_a_training_run_that_the_selector_does_not_match_is_passed_over() -> None:
    asked = policy(labels={"team": "math"})
    assert not plan_policy(asked, seen(governed()), NOW).judged
    assert policy_questions(asked, [training_run()], {}) == ()


SELECTIONS = [
    ("an empty selector takes every TrainingRun of the namespace", {}, {"a": "1"}, NAMESPACE, True),
    ("all labels must match", {"a": "1", "b": "2"}, {"a": "1"}, NAMESPACE, False),
    ("more labels than asked for do no harm", {"a": "1"}, {"a": "1", "b": "2"}, NAMESPACE, True),
    ("the value must match", {"a": "1"}, {"a": "2"}, NAMESPACE, False),
    ("another namespace never matches", {}, {}, "elsewhere", False),
]


@pytest.mark.parametrize(
    ("asked", "carried", "namespace", "expected"), [it[1:] for it in SELECTIONS], ids=[it[0] for it in SELECTIONS]
)
def test_a_selector_matches(asked: dict[str, str], carried: dict[str, str], namespace: str, expected: bool) -> None:
    assert governs(policy(labels=asked), training_run(labels=carried, namespace=namespace)) is expected


def test_questions_are_asked_for_the_whole_lineage_and_the_current_run_once() -> None:
    run = training_run(lineage=("r1", "r2"), current="r3")
    asked = policy_questions(policy(), [run, run], {CheckpointsOf("r2"): ()})
    assert asked == (CheckpointsOf("r1"), CheckpointsOf("r3"))
    assert policy_questions(policy(), [training_run(lineage=(), current=None)], {}) == ()


MANY = tuple(checkpoint(f"c{number:02}", 100 - number) for number in range(25))


def test_at_most_ten_go_in_a_pass_and_the_next_one_follows_at_once() -> None:
    plan = plan_of(policy(), seen(governed(listings={"r1": MANY})))
    assert deleted_paths(plan.plan.actions) == [it.path for it in MANY[:DELETIONS_PER_PASS]]
    assert plan.plan.wake_after == AT_ONCE
    assert conclude(plan, [Performed(it, Done()) for it in plan.plan.actions]).wake_after == AT_ONCE


def test_nothing_is_deleted_that_status_did_not_announce_and_the_announcement_is_followed_up_at_once() -> None:
    asked, world = policy(), seen(governed(listings={"r1": MANY}))
    first = plan_policy(asked, world, NOW)
    status = next_policy_status(asked, world, first, (), NOW)
    assert (first.plan.actions, first.plan.wake_after) == ((), AT_ONCE)
    assert [it.path for it in status.deleting] == [it.path for it in MANY[:DELETIONS_PER_PASS]]
    assert status.deleting[0] == DeletingCheckpoint(
        path=MANY[0].path, time=MANY[0].time, training_run="sft", size_bytes=100
    )


def test_a_pass_that_deletes_announces_the_next_ten() -> None:
    status = status_of(policy(), seen(governed(listings={"r1": MANY})), *[Done()] * DELETIONS_PER_PASS)
    assert [it.path for it in status.deleting] == [it.path for it in MANY[DELETIONS_PER_PASS : 2 * DELETIONS_PER_PASS]]


def entry(name: str, hours_old: float, size: int = 100) -> DeletingCheckpoint:
    return DeletingCheckpoint(path=path("r1", name), time=NOW - hours_old * HOUR, training_run="sft", size_bytes=size)


@dataclass(frozen=True)
class Fate:
    """`older` is in the journal of a policy of keepLast 1; what is there to be seen, and what becomes of it."""

    says: str
    world: PolicySeen
    asked: CheckpointPolicy = ASKED
    journal: tuple[DeletingCheckpoint, ...] = (entry("older", 10),)
    deletes: tuple[str, ...] = ()
    counted: int = 0
    announces: tuple[str, ...] = ()


LISTED_WITHOUT = seen(governed(listings={"r1": (LISTING[0], LISTING[2])}))
FATES = [
    Fate("due still, it is deleted", WORLD, deletes=(OLDER,), announces=(OLDER, OLD)),
    Fate("a complete listing without it counts it once", LISTED_WITHOUT, counted=1, announces=(OLD,)),
    Fate(
        "it is counted even if the policy may delete no more",
        LISTED_WITHOUT,
        asked=policy(suspend=True),
        counted=1,
    ),
    Fate("kept by now, it is dropped", WORLD, asked=policy(keep_last=3)),
    Fate("the policy only reports by now, so it is dropped", WORLD, asked=policy(action=REPORT)),
    Fate(
        "saved anew at another time, it is announced anew", WORLD, journal=(entry("older", 11),), announces=(OLDER, OLD)
    ),
    Fate(
        "saved anew in another size, it is announced anew",
        WORLD,
        journal=(entry("older", 10, 7),),
        announces=(OLDER, OLD),
    ),
    Fate(
        "while its run cannot be listed it stays announced",
        seen(governed(listings={"r1": UNREACHABLE})),
        announces=(OLDER,),
    ),
    Fate(
        "a listing without it does not count while the run must be confirmed",
        seen(governed(listings={"r1": (LISTING[0], LISTING[2])}, views=LOST)),
        announces=(OLDER,),
    ),
    Fate(
        "followed by nobody any more, it is dropped",
        seen(governed(training_run(lineage=("r2",), current="r2"), {"r2": ()})),
    ),
    Fate(
        "a former run that is gone with all it had says nothing of who deleted it",
        seen(governed(training_run(lineage=("r1", "r2"), current="r2"), {"r1": Absent()}, {"r1": Absent(agreeing=2)})),
    ),
    Fate(
        "an older policy deletes it by now, so it is dropped",
        seen(governed(), policies=(policy("first", created=NOW - HOUR),)),
        asked=policy(created=NOW),
    ),
]


@pytest.mark.parametrize("case", FATES, ids=lambda case: case.says)
def test_what_was_announced_has_one_fate(case: Fate) -> None:
    before = CheckpointPolicyStatus(deleted_total=7, deleting=case.journal)
    asked = case.asked.model_copy(update={"status": before})
    plan = plan_policy(asked, case.world, NOW)
    status = next_policy_status(asked, case.world, plan, (), NOW)
    assert deleted_paths(plan.plan.actions) == list(case.deletes)
    assert status.deleted_total == 7 + case.counted == 7 + len(status.deleted)
    assert [it.path for it in status.deleting] == list(case.announces)
    again = asked.model_copy(update={"status": status})
    assert next_policy_status(again, case.world, plan_policy(again, case.world, NOW), (), NOW).deleted_total == (
        status.deleted_total
    )


def test_a_journal_that_is_full_of_what_cannot_be_seen_waits_and_does_not_spin() -> None:
    lost = tuple(entry(f"x{number}", 50).model_copy(update={"path": path("r2", f"x{number}")}) for number in range(10))
    asked = policy(status=CheckpointPolicyStatus(deleting=lost))
    world = seen(governed(), governed(training_run("two", lineage=("r2",), current="r2"), {"r2": WRONG_KEY}))
    plan = plan_policy(asked, world, NOW)
    status = next_policy_status(asked, world, plan, (), NOW)
    assert (plan.plan.actions, plan.plan.wake_after, status.deleting) == ((), 30, lost)


UNEXPECTED = [
    (Done(), (OLD,), 1, "what is deleted is announced no more"),
    (UNREACHABLE, (OLDER, OLD), 0, "what may have been deleted stays announced"),
    (PreconditionFailed("gone"), (OLD,), 0, "what is gone, changed or kept is announced no more, and not counted"),
]


@pytest.mark.parametrize(
    ("outcome", "announces", "counted"), [it[:3] for it in UNEXPECTED], ids=[it[3] for it in UNEXPECTED]
)
def test_an_outcome_moves_the_journal(outcome: Outcome, announces: tuple[str, ...], counted: int) -> None:
    status = status_of(policy(), seen(governed()), outcome)
    assert [it.path for it in status.deleting] == list(announces)
    assert status.deleted_total == counted


def test_of_two_policies_the_older_deletes_and_the_other_says_so() -> None:
    older, younger = policy("z", created=NOW - HOUR), policy("a", created=NOW)
    world = seen(governed(), policies=(older, younger))
    assert deleted_paths(plan_of(older, world).plan.actions) == [OLDER, OLD]
    status = status_of(younger, world)
    assert (plan_of(younger, world).pending, status.due_count, status.deleting) == ((), 2, ())
    assert told(status, ConditionType.READY) == (TRUE, Reason.ENFORCED)
    assert message(status) == "What is still due is left to an older policy that lets it go too: lab/z."


def test_of_two_policies_of_the_same_age_the_name_decides() -> None:
    policies = (policy("b"), policy("a"))
    assert [len(plan_of(it, seen(governed(), policies=policies)).pending) for it in policies] == [0, 2]


def test_a_policy_of_another_namespace_that_shares_the_run_has_a_say() -> None:
    ours, theirs = training_run(), training_run("theirs", namespace="elsewhere")
    other = policy("other", namespace="elsewhere", keep_last=100)
    world = PolicySeen((governed(ours), governed(theirs)), (policy(), other), references((ours, theirs)))
    assert not plan_of(policy(), world).pending


SECOND_THOUGHTS = [
    ("the same policy and the same facts", policy(), WORLD, True),
    ("it is gone", None, WORLD, False),
    ("it is edited, though it would delete the same", policy(generation=2), WORLD, False),
    ("it is another one of the same name", policy(uid="another"), WORLD, False),
    ("it keeps more", policy(keep_last=3), WORLD, False),
    ("it is not listed whole any more", policy(), seen(governed(views=LOST)), False),
    (
        "a TrainingRun names it by now",
        policy(),
        PolicySeen((governed(),), (), references([training_run(recovery=Recovery(checkpoint=OLDER))])),
        False,
    ),
]


@pytest.mark.parametrize(
    ("now", "world", "due"), [it[1:] for it in SECOND_THOUGHTS], ids=[it[0] for it in SECOND_THOUGHTS]
)
def test_right_before_a_deletion_it_is_judged_once_more(
    now: CheckpointPolicy | None, world: PolicySeen, due: bool
) -> None:
    judged = announced(policy(), WORLD)
    action = plan_policy(judged, WORLD, NOW).plan.actions[0]
    assert isinstance(action, DeleteCheckpoint)
    present = now and now.model_copy(update={"status": judged.status})
    assert still_due(action, judged, present, world, NOW) is due
    assert now is None or not still_due(action, judged, now, world, NOW), "not in the journal any more"


@pytest.mark.parametrize("outcome", [UNREACHABLE, WRONG_KEY, PreconditionFailed("changed")], ids=repr)
def test_after_a_deletion_that_did_not_happen_it_waits_though_more_are_due(outcome: Outcome) -> None:
    plan = plan_of(policy(), seen(governed(listings={"r1": MANY})))
    concluded = conclude(plan, [Performed(plan.plan.actions[0], outcome)])
    assert (concluded.wake_after, concluded.retry) == (30, outcome is UNREACHABLE)


def test_a_policy_is_not_another_policy_to_itself() -> None:
    asked = policy(action=REPORT)
    status = status_of(asked, seen(governed(), policies=(asked,)))
    assert [it.path for it in status.due] == [OLD, OLDER]
    assert KeepReason.OTHER_POLICY not in status.kept[0].because


def test_a_deletion_carries_the_time_and_size_that_were_judged() -> None:
    (action,) = plan_of(policy(keep_last=2), seen(governed())).plan.actions
    assert action == DeleteCheckpoint(OLDER, "r1", NOW - 10 * HOUR, 100)


@pytest.mark.parametrize(("polls", "expected"), [((30, 60), 30), ((1, 60), 5), ((3600,), 3600), ((), None)], ids=str)
def test_it_looks_again_at_the_shortest_poll_interval_but_not_below_five_seconds(
    polls: tuple[int, ...], expected: float | None
) -> None:
    runs = (governed(training_run(f"run-{n}", poll_seconds=poll)) for n, poll in enumerate(polls))
    assert plan_policy(policy(action=REPORT), seen(*runs), NOW).plan.wake_after == expected


def test_status_shows_the_newest_twenty_and_counts_all() -> None:
    status = status_of(policy(keep_last=3, action=REPORT), seen(governed(listings={"r1": MANY})))
    assert (status.training_runs, status.checkpoints) == (1, 25)
    assert (status.kept_count, status.kept_bytes) == (3, 300)
    assert (status.due_count, status.due_bytes) == (22, 2200)
    assert [it.path for it in status.kept] == [it.path for it in reversed(MANY[-3:])]
    assert [it.path for it in status.due] == [it.path for it in reversed(MANY[2:22])]
    assert status.kept[0].because == (KeepReason.KEEP_LAST, KeepReason.MINIMUM_GOOD, KeepReason.NEWEST)
    assert status.due[-1] == DueCheckpoint(path=MANY[2].path, time=MANY[2].time, training_run="sft", size_bytes=100)


def test_sizes_that_the_service_does_not_tell_count_as_nothing() -> None:
    listing = (checkpoint("old", 9, size_bytes=None), checkpoint("new", 1, size_bytes=None))
    status = status_of(policy(action=REPORT), seen(governed(listings={"r1": listing})))
    assert (status.kept_bytes, status.due_bytes, status.due[0].size_bytes) == (0, 0, None)


def test_an_unknown_time_is_shown_first() -> None:
    listing = (*LISTING, checkpoint("when", None))
    status = status_of(policy(), seen(governed(listings={"r1": listing})), *DONE)
    assert [it.path for it in status.kept] == [path("r1", "when"), NEW]


def test_what_is_deleted_moves_from_due_to_deleted() -> None:
    status = status_of(policy(), seen(governed()), Done(), UNREACHABLE)
    assert [it.path for it in status.due] == [OLD]
    assert [(it.path, it.training_run, it.deleted_at) for it in status.deleted] == [(OLDER, "sft", NOW)]
    assert (status.checkpoints, status.due_count, status.deleted_total) == (2, 1, 1)


def test_the_deleted_are_a_ring_and_their_total_goes_on() -> None:
    world, status = seen(governed(listings={"r1": MANY})), CheckpointPolicyStatus()
    gone: list[str] = []
    for _ in range(3):
        left = tuple(it for it in MANY if it.path not in gone)
        world = seen(governed(listings={"r1": left}))
        gone += deleted_paths(plan_of(policy(), world).plan.actions)
        status = status_of(policy(status=status), world, *[Done()] * DELETIONS_PER_PASS)
    assert status.deleted_total == len(gone) == 24
    assert [it.path for it in status.deleted] == gone[-SHOWN_LIMIT:]


def test_lists_stay_as_they_were_while_nothing_can_be_seen() -> None:
    """An outage must not read as if there were no checkpoints."""
    before = status_of(policy(action=REPORT), seen(governed()))
    during = status_of(policy(action=REPORT, status=before), seen(governed(listings={"r1": UNREACHABLE})))
    assert (during.kept, during.due, during.checkpoints) == (before.kept, before.due, 3)
    assert during.kept_bytes == before.kept_bytes


def test_lists_tell_of_those_that_can_be_seen_while_others_cannot() -> None:
    half: dict[str, Answer] = {"r2": (checkpoint("seen", 3, run_id="r2"),), "r3": WRONG_KEY}
    lost = governed(training_run("two", lineage=("r2", "r3"), current="r3"), half)
    status = status_of(policy(action=REPORT), seen(governed(), lost))
    assert (status.training_runs, status.checkpoints) == (2, 3)


def test_a_checkpoint_that_two_training_runs_share_is_told_once() -> None:
    status = status_of(policy(action=REPORT), seen(governed(training_run("two")), governed(training_run("one"))))
    assert status.checkpoints == 3
    assert [it.training_run for it in status.kept] == ["one"]
    assert [it.training_run for it in status.due] == ["one", "one"]


def message(status: CheckpointPolicyStatus) -> str:
    ready = find_condition(status.conditions, ConditionType.READY)
    assert ready is not None
    return ready.message


def test_a_selector_without_a_match_is_told_with_its_labels_in_order() -> None:
    said = message(status_of(policy(labels={"b": "2", "a": "1"}), seen()))
    assert said == "No TrainingRun of namespace lab carries a=1, b=2. Label one, or change spec.selector.matchLabels."
    assert "has no TrainingRun" in message(status_of(policy(), seen()))


def troubled(*names: str, fault: Fault = UNREACHABLE) -> list[Governed]:
    return [governed(training_run(name), {"r1": fault}) for name in names]


def test_trouble_names_its_training_runs_in_order_and_says_what_is_not_done() -> None:
    said = message(status_of(policy(), seen(*troubled("b", "a"), *troubled("c", fault=WRONG_KEY))))
    assert said == (
        "TrainingRun c: The service does not accept the key. Put a valid one in it. "
        "Nothing is deleted there until this is over. TrainingRuns a, b: in trouble too."
    )


def test_a_message_fits_whatever_the_names_and_faults_are() -> None:
    endless = Fault(Reason.SERVER_FAULT, "x" * 9000)
    names = [f"{letter}{'n' * 252}" for letter in "abcdefghij"]
    assert len(message(status_of(policy(), seen(*troubled(*names, fault=endless))))) <= 4096
    labels = {f"{number:03}{'k' * 300}": "v" * 63 for number in range(32)}
    assert len(message(status_of(policy(labels=labels), seen()))) <= 4096


def test_a_policy_on_its_way_out_deletes_nothing() -> None:
    asked = policy()
    leaving = asked.model_copy(update={"metadata": asked.metadata.model_copy(update={"deletion_timestamp": NOW})})
    assert not plan_of(leaving, seen(governed())).plan.actions


def test_a_transition_time_moves_with_the_status_only() -> None:
    first = status_of(policy(action=REPORT), seen(governed()))
    asked = announced(policy(status=first), seen(governed()))
    plan = plan_policy(asked, seen(governed()), NOW)
    done = [Performed(it, Done()) for it in plan.plan.actions]
    later = next_policy_status(asked, seen(governed()), plan, done, NOW + HOUR)
    assert told(later, ConditionType.READY) == (TRUE, Reason.ENFORCED)
    assert [it.last_transition_time for it in later.conditions] == [NOW + HOUR, NOW]


def test_a_deletion_goes_by_the_credentials_of_a_training_run_that_lists_it() -> None:
    plan = plan_policy(policy(), seen(governed()), NOW)
    assert plan.training_run_of(OLD) == "sft"


def listing_of(*checkpoints: ObservedCheckpoint) -> PolicySeen:
    return seen(governed(listings={"r1": checkpoints}))


def test_a_checkpoint_of_the_future_is_judged_by_its_age_once_its_time_has_come() -> None:
    world = listing_of(checkpoint("soon", -1), checkpoint("later", -2))
    assert not plan_policy(policy(), world, NOW).pending
    (later,) = plan_policy(policy(), world, NOW + 3 * HOUR).pending
    assert later.checkpoint.path == path("r1", "soon")
