"""Tables of retention: each rule and each protection, one sentence for each case."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.strategies_policy import (
    HOUR,
    NOW,
    checkpoint,
    flagged,
    hand_over,
    history,
    in_flight,
    path,
    proving_policy,
    training_run,
    verdict,
)

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.recovery_spec import Metric, MetricMode, Recovery
from tinker_operator.api.recovery_status import RecoveryStatus, Verdict
from tinker_operator.api.retention_spec import KeepBest, Retention
from tinker_operator.api.run_status import CheckpointSummary
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.policy_group import group_of, narrowed
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_verdicts import Known, identity, with_proofs
from tinker_operator.core.retention import Claim, Due, Judgement, Kept, judge
from tinker_operator.core.retention_protections import PROTECTIONS
from tinker_operator.core.retention_rules import GUARDS, RULES
from tinker_operator.core.world import CheckpointKind, ObservedCheckpoint, ObservedRun

pytestmark = pytest.mark.pure

LAST, GOOD, NEWEST = KeepReason.KEEP_LAST, KeepReason.MINIMUM_GOOD, KeepReason.NEWEST
ONE, TWO = Retention(keep_last=1), Retention(keep_last=2)
TOP = {LAST, GOOD, NEWEST}
OLD = path("r1", "old")
NEW = path("r1", "new")
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


@dataclass(frozen=True)
class Case:
    """`old` is 9 hours old, `new` one hour; keepLast and minimumGood are 1, so by itself `old` is due."""

    says: str
    expected: Mapping[str, set[KeepReason]]
    listed: tuple[ObservedCheckpoint, ...] = (checkpoint("old", 9), checkpoint("new", 1))
    runs: tuple[TrainingRun, ...] = ()
    observed: tuple[ObservedRun, ...] = ()
    retention: Retention = ONE
    recoverable: tuple[str, ...] = ()
    known: Known | None = None
    proving: tuple[CheckpointPolicy, ...] = ()


def refers(**status: object) -> tuple[TrainingRun, ...]:
    """A TrainingRun of another namespace that follows another run."""
    return (training_run("far", namespace="elsewhere", lineage=("r9",), current="r9", status=status),)


def old(**facts: Any) -> tuple[ObservedCheckpoint, ...]:
    return checkpoint("old", 9, **facts), checkpoint("new", 1)


REFUSALS = [it for it in Verdict if it not in {Verdict.GOOD, Verdict.NO_METRIC, Verdict.BACKEND_FAILED}]
WITH_OLD_GOOD = {OLD: {GOOD}, NEW: {LAST, NEWEST}}
PLAIN = {OLD: set[KeepReason](), NEW: TOP}


def keeps_old(*reasons: KeepReason) -> Mapping[str, set[KeepReason]]:
    return {OLD: set(reasons), NEW: TOP}


RULE_CASES = [
    Case("without a reason to keep it a checkpoint is due", PLAIN),
    Case("nothing listed means nothing judged", {}, listed=()),
    Case("keepLast keeps the newest n", keeps_old(LAST), retention=Retention(keep_last=2)),
    Case("a huge keepLast keeps all", keeps_old(LAST), retention=Retention(keep_last=10000)),
    Case(
        "of equal times the greater path is the newer",
        {path("r1", "a"): set(), path("r1", "b"): TOP},
        listed=(checkpoint("b", 1), checkpoint("a", 1)),
    ),
    Case(
        "keepLast counts over the whole lineage, not for each run",
        {
            path("r1", "a"): {NEWEST},
            path("r1", "z"): set(),
            path("r2", "b"): {LAST},
            path("r2", "c"): TOP,
        },
        listed=(
            checkpoint("z", 5),
            checkpoint("a", 4),
            checkpoint("b", 2, run_id="r2"),
            checkpoint("c", 1, run_id="r2"),
        ),
        retention=Retention(keep_last=2),
    ),
    Case("minimumGood keeps the newest n good ones", keeps_old(GOOD), retention=Retention(keep_last=1, minimum_good=2)),
    Case(
        "an empty checkpoint is not good", WITH_OLD_GOOD, listed=(checkpoint("old", 9), checkpoint("new", size_bytes=0))
    ),
    Case("an unknown size is good", PLAIN, listed=(checkpoint("old", 9), checkpoint("new", size_bytes=None))),
    Case(
        "a checkpoint that expires this instant is not good",
        WITH_OLD_GOOD,
        listed=(checkpoint("old", 9), checkpoint("new", expires_at=NOW)),
    ),
    Case(
        "a checkpoint that expires later is good",
        PLAIN,
        listed=(checkpoint("old", 9), checkpoint("new", expires_at=NOW + HOUR)),
    ),
    *(
        Case(
            f"a checkpoint that a recovery anywhere found {it} is not good",
            WITH_OLD_GOOD,
            runs=refers(recovery=RecoveryStatus(history=history(verdict(NEW, it)))),
        )
        for it in REFUSALS
    ),
    Case(
        "a refusal of an attempt in flight counts too",
        {OLD: {GOOD}, NEW: {LAST, NEWEST, KeepReason.RECOVERY_IN_FLIGHT}},
        runs=refers(recovery=in_flight("r9", None, verdict(NEW, Verdict.NOT_LOADABLE))),
    ),
    *(
        Case(
            f"a checkpoint of verdict {it} stays good",
            PLAIN,
            runs=refers(recovery=RecoveryStatus(history=history(verdict(NEW, it)))),
        )
        for it in (Verdict.GOOD, Verdict.NO_METRIC, Verdict.BACKEND_FAILED)
    ),
    Case(
        "where none is good the floor keeps none, and keepLast still holds",
        {OLD: set(), NEW: {LAST, NEWEST}},
        listed=(checkpoint("old", 9, size_bytes=0), checkpoint("new", 1, size_bytes=0)),
    ),
]


def measured(old_loss: str | None, new_loss: str | None = "2", **more: str) -> tuple[ObservedCheckpoint, ...]:
    """`old` and `new` with what the loop wrote beside them."""
    beside = [({"loss": it} if it is not None else {}) | more for it in (old_loss, new_loss)]
    return checkpoint("old", 9, metadata=beside[0]), checkpoint("new", 1, metadata=beside[1])


def best(count: int = 1, **metric: Any) -> Retention:
    return Retention(keep_last=1, keep_best=KeepBest(count=count, metric=Metric(**{"name": "loss", **metric})))


def named(*pairs: tuple[str, float]) -> tuple[ObservedCheckpoint, ...]:
    return tuple(checkpoint(name, age) for name, age in pairs)


BEST, STEPS, NO_METRIC = KeepReason.KEEP_BEST, KeepReason.KEEP_EVERY_STEPS, KeepReason.NO_METRIC
NEW_BEST: Mapping[str, set[KeepReason]] = {OLD: set(), NEW: TOP | {BEST}}
NO_BEST: Mapping[str, set[KeepReason]] = {OLD: set(), NEW: TOP}
GROWN_CASES = [
    Case("keepBest keeps the best by its metric", keeps_old(BEST), measured("1"), retention=best()),
    Case("a worse one is no best", NEW_BEST, measured("3"), retention=best()),
    Case("Max makes the highest the best", keeps_old(BEST), measured("3"), retention=best(mode=MetricMode.MAX)),
    Case("of equal values the newer is the better", NEW_BEST, measured("2"), retention=best()),
    Case("a count of two keeps two", {OLD: {BEST}, NEW: TOP | {BEST}}, measured("3"), retention=best(2)),
    Case("a huge count keeps all", {OLD: {BEST}, NEW: TOP | {BEST}}, measured("3"), retention=best(10000)),
    *(
        Case(
            f"{value} is never best and no protection, mode {mode}",
            NEW_BEST,
            measured(value),
            retention=best(mode=mode),
        )
        for value in ("NaN", "inf", "-inf", "1e999")
        for mode in MetricMode
    ),
    Case("where no value is finite none is best", NO_BEST, measured("NaN", "NaN"), retention=best()),
    Case(
        "a checkpoint without the metric stays and takes no place",
        {OLD: {NO_METRIC}, NEW: TOP | {BEST}},
        measured(None),
        retention=best(),
    ),
    Case(
        "a metric that is no number is none", {OLD: {NO_METRIC}, NEW: TOP | {BEST}}, measured("low"), retention=best()
    ),
    Case("without keepBest nobody asks for a metric", NO_BEST, measured(None), retention=ONE),
    Case(
        "an empty checkpoint is not best, and takes no place",
        {OLD: {GOOD, BEST}, NEW: {LAST, NEWEST}},
        (replace(measured("3")[0]), replace(measured("3")[1], size_bytes=0)),
        retention=best(),
    ),
    Case(
        "the name tells the metric where nothing stands beside it",
        {path("r1", "loss-1"): {BEST}, path("r1", "loss-2"): TOP},
        named(("loss-1", 9), ("loss-2", 1)),
        retention=best(name_pattern="loss-{loss}"),
    ),
    Case(
        "keepEverySteps keeps the multiples",
        keeps_old(STEPS),
        (checkpoint("old", 9, metadata={"step": "200"}), checkpoint("new", metadata={"step": "250"})),
        retention=Retention(keep_last=1, keep_every_steps=100),
    ),
    Case(
        "no other step is kept by it",
        NO_BEST,
        measured("1", step="201"),
        retention=Retention(keep_last=1, keep_every_steps=100),
    ),
    Case(
        "a step in the name counts too",
        {path("r1", "step-200"): {STEPS}, path("r1", "step-150"): set(), path("r1", "step-201"): TOP},
        named(("step-200", 9), ("step-150", 9), ("step-201", 1)),
        retention=Retention(keep_last=1, keep_every_steps=100, name_pattern="step-{step}"),
    ),
    Case(
        "a checkpoint without a step stays",
        {OLD: {KeepReason.NO_STEP}, NEW: TOP | {KeepReason.NO_STEP}},
        retention=Retention(keep_last=1, keep_every_steps=100),
    ),
    Case(
        "keepWithinSeconds counts from the newest, not from now",
        {OLD: {KeepReason.KEEP_WITHIN}, NEW: TOP | {KeepReason.KEEP_WITHIN}},
        named(("old", 900), ("new", 899)),
        retention=Retention(keep_last=1, keep_within_seconds=3601),
    ),
    Case(
        "the edge of the time is outside",
        {OLD: set(), NEW: TOP | {KeepReason.KEEP_WITHIN}},
        named(("old", 900), ("new", 899)),
        retention=Retention(keep_last=1, keep_within_seconds=3600),
    ),
    *(
        Case(
            f"{reason} keeps the newest of each span, and the oldest while there are fewer spans than asked for",
            {
                path("r1", "a"): {reason},
                path("r1", "b"): set(),
                path("r1", "c"): TOP | {reason},
            },
            named(("a", 1000.2), ("b", 1000.1), ("c", 999.999)),
            retention=Retention.model_validate({"keepLast": 1, field: 2}),
        )
        for reason, field in ((KeepReason.KEEP_WEEKLY, "keepWeekly"),)
    ),
    Case(
        "of one hour the newest stays and the oldest of all, while hours are left to count",
        {
            path("r1", "a"): {KeepReason.KEEP_HOURLY},
            path("r1", "b"): set(),
            path("r1", "c"): TOP | {KeepReason.KEEP_HOURLY},
        },
        named(("a", 0.9), ("b", 0.8), ("c", 0.7)),
        retention=Retention(keep_last=1, keep_hourly=2),
    ),
    Case(
        "with as many hours as asked for the oldest goes",
        {
            path("r1", "a"): set(),
            path("r1", "b"): {KeepReason.KEEP_HOURLY},
            path("r1", "c"): TOP | {KeepReason.KEEP_HOURLY},
        },
        named(("a", 2.9), ("b", 1.8), ("c", 0.7)),
        retention=Retention(keep_last=1, keep_hourly=2),
    ),
    Case(
        "days begin at midnight UTC",
        {
            path("r1", "a"): {KeepReason.KEEP_DAILY},
            path("r1", "b"): set(),
            path("r1", "c"): TOP | {KeepReason.KEEP_DAILY},
        },
        named(("a", 12.01), ("b", 11.99), ("c", 1)),
        retention=Retention(keep_last=1, keep_daily=2),
    ),
    Case(
        "keepNames keeps the names it names",
        {
            path("r1", "final-3"): {KeepReason.KEEP_NAMES},
            path("r1", "Final"): set(),
            path("r1", "e1"): {KeepReason.KEEP_NAMES},
            NEW: TOP,
        },
        named(("final-3", 9), ("Final", 9), ("e1", 9), ("new", 1)),
        retention=Retention(keep_last=1, keep_names=("final*", "e?")),
    ),
    Case(
        "without keepLast the floor and the newest stay still",
        {OLD: set(), NEW: {GOOD, NEWEST}},
        retention=Retention(keep_names=("none",)),
    ),
    Case(
        "a budget lets the oldest go that rules alone keep",
        {path("r1", "a"): set(), path("r1", "b"): {LAST}, NEW: TOP},
        named(("a", 9), ("b", 5), ("new", 1)),
        retention=Retention(keep_last=3, max_total_bytes=200),
    ),
    Case(
        "a budget that just fits lets nothing go",
        {path("r1", "a"): {LAST}, path("r1", "b"): {LAST}, NEW: TOP},
        named(("a", 9), ("b", 5), ("new", 1)),
        retention=Retention(keep_last=3, max_total_bytes=300),
    ),
    Case(
        "a budget never goes below the floor",
        {path("r1", "a"): set(), path("r1", "b"): {LAST, GOOD}, NEW: TOP},
        named(("a", 9), ("b", 5), ("new", 1)),
        retention=Retention(keep_last=3, minimum_good=2, max_total_bytes=1),
    ),
    Case(
        "a budget takes nothing that is protected, and goes on with the next",
        {path("r1", "a"): {LAST, KeepReason.PINNED}, path("r1", "b"): set(), NEW: TOP},
        (checkpoint("a", 9, metadata={"pinned": "1"}), checkpoint("b", 5), checkpoint("new", 1)),
        retention=Retention(keep_last=3, max_total_bytes=200),
    ),
    Case(
        "what has no size would free nothing and stays",
        {path("r1", "a"): {LAST}, path("r1", "b"): set(), NEW: TOP},
        (checkpoint("a", 9, size_bytes=None), checkpoint("b", 5), checkpoint("new", 1)),
        retention=Retention(keep_last=3, max_total_bytes=100),
    ),
    Case(
        "what nothing keeps takes no room",
        {path("r1", "a"): set(), path("r1", "b"): {LAST}, NEW: TOP},
        named(("a", 9), ("b", 5), ("new", 1)),
        retention=Retention(keep_last=2, max_total_bytes=200),
    ),
]

RUN_BROKEN = ObservedRun("r1", "base", corrupted=True, last_checkpoint=checkpoint("old", 9))
RUN_FINE = replace(RUN_BROKEN, corrupted=False)

PROTECTION_CASES = [
    Case(
        "the newest of each run of the lineage stays, whatever its age",
        {path("r0", "first"): {NEWEST}, OLD: set(), NEW: TOP},
        listed=(checkpoint("first", 400, run_id="r0"), *old()),
    ),
    Case(
        "what the service calls the last checkpoint of a corrupted run stays",
        {OLD: {KeepReason.CORRUPTED_RUN}, NEW: TOP | {KeepReason.CORRUPTED_RUN}},
        observed=(RUN_BROKEN,),
    ),
    Case("the last checkpoint of a sound run gets no protection of its own", PLAIN, observed=(RUN_FINE,)),
    Case(
        "the last checkpoint of a run under recovery stays though its flag is not seen",
        {
            OLD: {KeepReason.CORRUPTED_RUN, KeepReason.RECOVERY_IN_FLIGHT},
            NEW: TOP | {KeepReason.CORRUPTED_RUN, KeepReason.RECOVERY_IN_FLIGHT},
        },
        observed=(RUN_FINE,),
        runs=refers(recovery=in_flight("r1")),
    ),
    Case(
        "the last checkpoint that a flagged TrainingRun remembers stays",
        keeps_old(KeepReason.CORRUPTED_RUN),
        runs=refers(conditions=flagged(), last_checkpoint=CheckpointSummary(path=OLD)),
    ),
    Case(
        "the last checkpoint that a recovering TrainingRun remembers stays",
        keeps_old(KeepReason.CORRUPTED_RUN),
        runs=refers(recovery=in_flight("r9"), last_checkpoint=CheckpointSummary(path=OLD)),
    ),
    Case(
        "the last checkpoint that a sound TrainingRun remembers is not protected for that",
        PLAIN,
        runs=refers(conditions=flagged(ConditionStatus.FALSE), last_checkpoint=CheckpointSummary(path=OLD)),
    ),
    Case(
        "every checkpoint of a run that is being recovered from is a candidate and stays",
        {OLD: {KeepReason.RECOVERY_IN_FLIGHT}, NEW: TOP | {KeepReason.RECOVERY_IN_FLIGHT}},
        runs=refers(recovery=in_flight("r1")),
    ),
    Case("a recovery from another run protects nothing here", PLAIN, runs=refers(recovery=in_flight("r9"))),
    Case(
        "the candidate that is being loaded stays, whichever run it is of",
        keeps_old(KeepReason.RECOVERY_IN_FLIGHT),
        runs=refers(recovery=in_flight("r9", OLD)),
    ),
    Case(
        "between two attempts the candidates of a flagged run stay",
        {OLD: {KeepReason.RECOVERY_IN_FLIGHT}, NEW: TOP | {KeepReason.RECOVERY_IN_FLIGHT}},
        runs=(training_run(recovery=Recovery(enabled=True), status={"conditions": flagged()}),),
    ),
    Case(
        "a flagged run that nobody recovers keeps no candidates",
        PLAIN,
        runs=(training_run(status={"conditions": flagged()}),),
    ),
    Case(
        "a run seen corrupted keeps its candidates before the recovery has begun",
        {
            OLD: {KeepReason.RECOVERY_IN_FLIGHT, KeepReason.CORRUPTED_RUN},
            NEW: TOP | {KeepReason.RECOVERY_IN_FLIGHT, KeepReason.CORRUPTED_RUN},
        },
        observed=(RUN_BROKEN,),
        recoverable=("r1",),
    ),
    Case(
        "what the present run was restored from stays",
        keeps_old(KeepReason.RECOVERY_SOURCE),
        runs=refers(recovery=RecoveryStatus(restored_from=OLD)),
    ),
    Case("what is handed over stays", keeps_old(KeepReason.HANDED_OVER), runs=refers(hand_over=hand_over(OLD))),
    Case(
        "what any TrainingRun names in its spec stays",
        keeps_old(KeepReason.SPECIFIC),
        runs=(training_run("far", namespace="elsewhere", recovery=Recovery(checkpoint=OLD)),),
    ),
    Case(
        "what a TrainingRun begins with stays",
        keeps_old(KeepReason.BEGUN_FROM),
        runs=(training_run("far", namespace="elsewhere", begun_from=OLD),),
    ),
    Case("what is published stays", keeps_old(KeepReason.PUBLISHED), listed=old(public=True)),
    *(
        Case(f"pinned: {value!r} pins", keeps_old(KeepReason.PINNED), listed=old(metadata={"pinned": value}))
        for value in ("true", "True", "TRUE", "1", "yes", "Yes", " true ")
    ),
    *(
        Case(f"pinned: {value!r} does not pin", PLAIN, listed=old(metadata={"pinned": value}))
        for value in ("false", "0", "no", "", "on", "truely")
    ),
    Case("an unknown time proves no age", keeps_old(KeepReason.FUTURE_TIME), listed=old(time=None)),
    Case("a time in the future proves no age", keeps_old(KeepReason.FUTURE_TIME), listed=old(time=NOW + HOUR)),
    Case("a time of this instant is not in the future", {OLD: TOP, NEW: set()}, listed=old(time=NOW)),
    Case(
        "a time within the second of this instant is not in the future",
        {OLD: TOP, NEW: set()},
        listed=old(time=NOW + SECOND - MICROSECOND),
    ),
    Case("a time of the next second is ahead", keeps_old(KeepReason.FUTURE_TIME), listed=old(time=NOW + SECOND)),
    Case(
        "a checkpoint from the future takes no place from a real one",
        {path("r1", "never"): {KeepReason.FUTURE_TIME}, **PLAIN},
        listed=(checkpoint("never", -9000), *old()),
    ),
    Case(
        "several reasons are all told",
        keeps_old(KeepReason.PUBLISHED, KeepReason.PINNED, KeepReason.SPECIFIC),
        listed=old(public=True, metadata={"pinned": "1"}),
        runs=(training_run("far", recovery=Recovery(checkpoint=OLD)),),
    ),
]

OLD_IS, NEW_IS = identity(checkpoint("old", 9)), identity(checkpoint("new", 1))
PROVEN_CASES = [
    Case("one that proved good is the floor", PLAIN, known=Known(good=frozenset({NEW_IS}))),
    Case(
        "without a verdict on anything, what may turn out to be the floor stays",
        {OLD: {KeepReason.NOT_VALIDATED}, NEW: TOP | {KeepReason.NOT_VALIDATED}},
        known=Known(),
    ),
    Case(
        "what proved bad does not count for the floor",
        keeps_old(GOOD),
        known=Known(good=frozenset({OLD_IS}), bad=frozenset({NEW_IS})),
    ),
    Case(
        "what may replace what proved bad stays until it is known",
        keeps_old(KeepReason.NOT_VALIDATED),
        known=Known(bad=frozenset({NEW_IS})),
    ),
    Case(
        "being found bad makes nothing due by itself",
        {OLD: {GOOD}, NEW: TOP},
        retention=Retention(keep_last=1, minimum_good=2),
        known=Known(bad=frozenset({OLD_IS}), good=frozenset({NEW_IS})),
    ),
    Case(
        "a verdict on the same path as it was before says nothing",
        {OLD: {KeepReason.NOT_VALIDATED}, NEW: TOP | {KeepReason.NOT_VALIDATED}},
        known=Known(good=frozenset({(NEW, NOW, 100)})),
    ),
    Case(
        "what is being proven stays, by whichever policy",
        keeps_old(KeepReason.VALIDATING),
        proving=(proving_policy(OLD),),
    ),
]

LISTING_CASES = [
    *(
        Case(f"a checkpoint of kind {kind} is not judged", {NEW: TOP}, listed=old(kind=kind))
        for kind in CheckpointKind
        if kind is not CheckpointKind.TRAINING
    ),
    Case(
        "a newer checkpoint of another kind takes no place",
        PLAIN,
        listed=(*old(), checkpoint("sampler", 0.5, kind=CheckpointKind.SAMPLER)),
    ),
    Case("one path listed twice is one checkpoint", PLAIN, listed=(*old(), *old())),
    Case(
        "a path that is listed under another run than it names proves no age",
        {path("r2", "stray"): {KeepReason.FUTURE_TIME}, **PLAIN},
        listed=(*old(), checkpoint("stray", 9, path=path("r2", "stray"))),
    ),
    Case(
        "a stray path takes no place from a real one",
        {path("r2", "stray"): {KeepReason.FUTURE_TIME}, **PLAIN},
        listed=(*old(), checkpoint("stray", 0.5, path=path("r2", "stray"))),
    ),
    Case(
        "one path under two runs proves no age, though the entries agree",
        keeps_old(KeepReason.FUTURE_TIME),
        listed=(*old(), replace(checkpoint("old", 9), run_id="r2")),
    ),
    Case(
        "a path whose entries contradict each other proves no age",
        keeps_old(KeepReason.FUTURE_TIME),
        listed=(*old(), checkpoint("old", 8)),
    ),
    Case(
        "a path that is listed as two kinds is not deleted",
        keeps_old(KeepReason.FUTURE_TIME),
        listed=(*old(), checkpoint("old", 9, kind=CheckpointKind.SAMPLER)),
    ),
    Case(
        "a contradicted path keeps what any entry says in its favour",
        keeps_old(KeepReason.FUTURE_TIME, KeepReason.PUBLISHED, KeepReason.PINNED),
        listed=(*old(public=True), checkpoint("old", 8, metadata={"pinned": "yes"})),
    ),
]


def by_run(listed: Iterable[ObservedCheckpoint]) -> dict[str, tuple[ObservedCheckpoint, ...]]:
    found: dict[str, tuple[ObservedCheckpoint, ...]] = {}
    for it in listed:
        found[it.run_id] = (*found.get(it.run_id, ()), it)
    return found


def reasons(judgements: Mapping[str, Judgement]) -> dict[str, set[KeepReason]]:
    return {where: set(it.because) if isinstance(it, Kept) else set() for where, it in judgements.items()}


@pytest.mark.parametrize(
    "case", [*RULE_CASES, *GROWN_CASES, *PROTECTION_CASES, *PROVEN_CASES, *LISTING_CASES], ids=lambda case: case.says
)
def test_each_checkpoint_is_kept_for_exactly_these_reasons(case: Case) -> None:
    group = group_of(by_run(case.listed), case.observed, case.recoverable)
    named = with_proofs(references(case.runs), case.proving)
    judged = judge([Claim(group, case.retention, known=case.known)], named, NOW)
    assert reasons(judged) == case.expected


def test_every_reason_has_a_case_that_shows_it() -> None:
    """A keeper without a case would be code that no test can miss. What other policies and exports say has its own."""
    shown = {
        reason
        for case in (*RULE_CASES, *GROWN_CASES, *PROTECTION_CASES, *PROVEN_CASES)
        for because in case.expected.values()
        for reason in because
    }
    assert shown == set(KeepReason) - {KeepReason.OTHER_POLICY, KeepReason.EXPORTING}
    assert {*RULES, *GUARDS, *PROTECTIONS} == shown | {KeepReason.EXPORTING}


def test_reasons_are_told_in_the_order_of_their_enum() -> None:
    listed = by_run((checkpoint("new", 1, public=True, metadata={"pinned": "1"}),))
    judged = judge([Claim(group_of(listed), Retention(keep_last=1))], references(()), NOW)
    assert judged[NEW] == Kept((LAST, GOOD, NEWEST, KeepReason.PUBLISHED, KeepReason.PINNED))


GROUP = group_of(by_run(old()))
OTHERS = [
    ("one that deletes and finds it due lets it go", Claim(GROUP, ONE, own=False), Due()),
    ("one whose keepLast keeps it keeps it", Claim(GROUP, TWO, own=False), Kept((KeepReason.OTHER_POLICY,))),
    (
        "one whose floor keeps it keeps it",
        Claim(GROUP, Retention(keep_last=1, minimum_good=2), own=False),
        Kept((KeepReason.OTHER_POLICY,)),
    ),
    (
        "one that does not delete keeps all",
        Claim(GROUP, ONE, own=False, deletes=False),
        Kept((KeepReason.OTHER_POLICY,)),
    ),
    ("one over another run has no say", Claim(narrowed(GROUP, ("r7",)), TWO, own=False, deletes=False), Due()),
]


@pytest.mark.parametrize(("other", "expected"), [it[1:] for it in OTHERS], ids=[it[0] for it in OTHERS])
def test_another_policy_keeps_or_lets_go(other: Claim, expected: Judgement) -> None:
    assert judge([other, Claim(GROUP, ONE)], references(()), NOW)[OLD] == expected


def test_a_path_in_two_groups_of_one_policy_is_due_only_if_due_in_both() -> None:
    alone = group_of(by_run((checkpoint("old", 9),)))
    assert judge([Claim(GROUP, ONE), Claim(alone, ONE)], references(()), NOW)[OLD] == Kept((LAST, GOOD, NEWEST))
    assert judge([Claim(GROUP, ONE), Claim(GROUP, ONE)], references(()), NOW)[OLD] == Due()


def test_what_one_group_knows_protects_a_path_that_another_group_lists() -> None:
    elsewhere = group_of({"r2": ()}, (ObservedRun("r2", "base", corrupted=True, last_checkpoint=checkpoint("old", 9)),))
    for claims in ([Claim(GROUP, ONE), Claim(elsewhere, ONE)], [Claim(elsewhere, ONE), Claim(GROUP, ONE)]):
        assert judge(claims, references(()), NOW)[OLD] == Kept((KeepReason.CORRUPTED_RUN,))
