"""What the demonstration claims, each as a predicate over the evidence that also tells what was seen.

`closing` prints them; the exit status is 0 only if every one holds. A claim is a function in `CLAIMS` and no more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from playground.demonstration.evidence import Evidence, Identity, brief, short_path, short_run
from playground.demonstration.manifests import HAND_OVER, KEEP_LAST, LOOP_ACCOUNT, NAMESPACE

OPERATOR_USER = "system:serviceaccount:tinker-operator:tinker-operator"
LOOP_USER = f"system:serviceaccount:{NAMESPACE}:{LOOP_ACCOUNT}"
ONCE = ("RunBound", "CorruptionDetected", "RecoveryStarted", "CheckpointSkipped", "RecoveryCompleted", "HandedOver")
_SAME_LOSS = 1e-6
_FEWEST_COMPARED = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What a claim found.

    Attributes:
        held: Whether it holds.
        what: What was seen, either way.
    """

    held: bool
    what: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that has to be so.

    Attributes:
        title: The sentence.
        check: Judges the evidence; a LookupError from it means that there was nothing to judge by.
    """

    title: str
    check: Callable[[Evidence], Seen]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim that was judged."""

    title: str
    seen: Seen


def judge(evidence: Evidence) -> tuple[Verdict, ...]:
    """Judge every claim."""
    return tuple(Verdict(claim.title, _seen(claim, evidence)) for claim in CLAIMS)


def _seen(claim: Claim, evidence: Evidence) -> Seen:
    try:
        return claim.check(evidence)
    except LookupError as error:
        return Seen(held=False, what=f"there is nothing to tell from ({error})")


def _identity(identity: Identity, user: str, bindings: Iterable[str], may: Mapping[str, bool]) -> Seen:
    if identity.user != user:
        return Seen(held=False, what=f"it acts as {identity.user}, not as {user}")
    if identity.bindings != frozenset(bindings):
        return Seen(held=False, what=f"its role bindings are {', '.join(sorted(identity.bindings)) or 'none'}")
    wrong = [f"{what}: {_yes(identity.may[what])}" for what in may if identity.may[what] is not may[what]]
    right = [f"{what}: {_yes(may[what])}" for what in may]
    return Seen(held=not wrong, what="; ".join(wrong or [user, *right]))


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


OPERATOR_MAY = {
    "get a Secret": True,
    "list secrets": False,
    "update trainingruns": False,
    "patch trainingruns": True,
    "patch their spec": False,
    "create pods": False,
}
LOOP_MAY = {
    f"get configmap/{HAND_OVER}": True,
    "get any other configmap": False,
    "list configmaps": False,
    "get trainingruns": False,
}


def operator_rights(evidence: Evidence) -> Seen:
    """The operator's token is that of its service account, and only what deploy/ ships is bound to it.

    It may patch TrainingRuns for the sake of its finalizer; a change of their spec is refused, which was tried.
    """
    return _identity(evidence.operator, OPERATOR_USER, evidence.shipped_bindings, OPERATOR_MAY)


def loop_rights(evidence: Evidence) -> Seen:
    """The loop's token reads one ConfigMap."""
    return _identity(evidence.loop, LOOP_USER, {HAND_OVER}, LOOP_MAY)


def passed_over(evidence: Evidence) -> Seen:
    """The history tells of the broken checkpoint, first of all candidates, and why it was not taken."""
    first = evidence.recovery["candidates"][0]
    what = brief(f"{first['checkpoint']}: {first['verdict']}. {first.get('message', '')}".strip())
    held = first["checkpoint"] == evidence.broken and first["verdict"] == "NotLoadable" and bool(first.get("message"))
    return Seen(held, what)


def restored(evidence: Evidence) -> Seen:
    """One attempt restored the checkpoint before the broken one."""
    record, status = evidence.recovery, evidence.training_run["status"]
    good = [it["checkpoint"] for it in record["candidates"] if it["verdict"] == "Good"]
    what = f"attempt {record['attempt']} {record['result']}: {short_path(record.get('checkpoint', 'nothing'))}"
    held = (
        record["result"] == "Recovered"
        and good == [evidence.expected] == [record["checkpoint"]]
        and record["fromTrainingRunId"] == evidence.started["run"]
        and status["recovery"]["restoredFrom"] == evidence.expected
        and status["recoveries"] == 1
    )
    return Seen(held, f"{what}, of {short_run(record['fromTrainingRunId'])}; recoveries: {status['recoveries']}")


def handed_over(evidence: Evidence) -> Seen:
    """The loop followed the hand-over to the restored checkpoint, and went on from the step that it was saved at."""
    resumed = evidence.resumed
    metadata = evidence.metadata_of(evidence.expected)
    what = f"resumed from {short_path(resumed['checkpoint'] or 'nothing')} at step {resumed['start_step']}"
    held = (
        resumed["checkpoint"] == evidence.expected
        and str(resumed["start_step"]) == metadata["step"]
        and resumed["attempt"] == evidence.recovery["attempt"]
        and evidence.training_run["status"]["handOver"]["restoreOptimizer"]
    )
    return Seen(held, f"{what}; the checkpoint's own metadata: step {metadata['step']}, loss {metadata['loss']}")


def optimizer_came_along(evidence: Evidence) -> Seen:
    """The steps that both runs trained had the same loss: from the second on, that takes the optimizer's state too."""
    before = evidence.told.of_run(evidence.started["run"]).losses()
    after = evidence.told.of_run(evidence.resumed["run"]).losses()
    both = sorted(before.keys() & after.keys())
    apart = [step for step in both if not math.isclose(before[step], after[step], rel_tol=_SAME_LOSS)]
    if len(both) < _FEWEST_COMPARED:
        return Seen(held=False, what=f"{len(both)} steps were trained by both runs, too few to tell")
    if apart:
        step = apart[0]
        return Seen(held=False, what=f"step {step} had loss {before[step]} before and {after[step]} after")
    return Seen(held=True, what=f"steps {both[0]} to {both[-1]}, trained by both runs, had the same losses")


def no_warning(evidence: Evidence) -> Seen:
    """The official SDK had nothing to complain about, and the loop lost its run once."""
    lost = len(evidence.told.all("lost"))
    if evidence.told.noise:
        return Seen(held=False, what=evidence.told.noise[0])
    return Seen(lost == 1, f"no line but its own events; runs lost: {lost}")


def followed(evidence: Evidence) -> Seen:
    """The TrainingRun is Ready with the run that the loop went on in, and its spec was never written."""
    status, metadata = evidence.training_run["status"], evidence.training_run["metadata"]
    conditions = {it["type"]: it["status"] for it in status["conditions"]}
    shown = ", ".join(f"{kind}={conditions.get(kind, 'absent')}" for kind in ("Ready", "Stalled", "Corrupted"))
    held = (
        status["trainingRunId"] == evidence.resumed["run"]
        and (conditions["Ready"], conditions.get("Stalled", "False"), conditions["Corrupted"])
        == ("True", "False", "False")
        and metadata["generation"] == status["observedGeneration"] == 1
        and not any("kopf" in name for name in metadata.get("annotations", {}))
    )
    return Seen(held, f"{short_run(status['trainingRunId'])}, {shown}, generation {metadata['generation']}")


def one_live_run(evidence: Evidence) -> Seen:
    """Of all runs at the service only the loop's new one could be trained on; the operator's own session is over."""
    live = [it.run_id for it in evidence.runs if it.live]
    proof = next((it for it in evidence.runs if it.run_id == evidence.recovery["toTrainingRunId"]), None)
    if proof is None:
        return Seen(held=False, what="the service does not list the run that the operator restored")
    state = "goes on" if proof.session_alive else "is finished"
    what = f"live: {', '.join(map(short_run, live)) or 'none'} of {len(evidence.runs)}; the operator's session {state}"
    held = live == [evidence.resumed["run"]] and not proof.session_alive and proof.run_id not in live
    return Seen(held, what)


def older_ones_went(evidence: Evidence) -> Seen:
    """Of the first run, the service has the restored and the broken checkpoint left, and the policy says so."""
    saved = [str(it["path"]) for it in evidence.told.of_run(evidence.started["run"]).all("saved")]
    left = [path for path in saved if path in evidence.paths]
    gone = [path for path in saved if path not in evidence.paths]
    told, total = {it["path"] for it in evidence.policy["status"]["deleted"]}, evidence.policy["status"]["deletedTotal"]
    what = f"gone: {', '.join(map(short_path, gone)) or 'none'}; left: {', '.join(map(short_path, left)) or 'none'}"
    # status shows the last twenty only
    untold = [path for path in gone if path not in told and total == len(told)]
    held = bool(gone) and left == [evidence.expected, evidence.broken] and not untold and total >= len(gone)
    return Seen(held, f"{what}; deletedTotal: {total}")


def needed_stayed(evidence: Evidence) -> Seen:
    """The restored checkpoint is not among the last three, is still there, and status says why."""
    kept = {it["path"]: it["because"] for it in evidence.policy["status"]["kept"]}
    because = kept[evidence.expected]
    held = (
        "RecoverySource" in because
        and "KeepLast" not in because
        and evidence.expected in evidence.paths[KEEP_LAST:]
        and bool(kept.get(evidence.broken))
    )
    broken = ", ".join(kept.get(evidence.broken, ["gone"]))
    what = f"{short_path(evidence.expected)}: {', '.join(because)}; {short_path(evidence.broken)}: {broken}"
    return Seen(held, what)


def last_three_kept(evidence: Evidence) -> Seen:
    """Three checkpoints are kept for being the newest, all of the run that trains now."""
    last = [it["path"] for it in evidence.policy["status"]["kept"] if "KeepLast" in it["because"]]
    held = len(last) == KEEP_LAST and all(it.startswith(f"tinker://{evidence.resumed['run']}/") for it in last)
    return Seen(held, f"KeepLast: {', '.join(map(short_path, last)) or 'none'}")


def told_once(evidence: Evidence) -> Seen:
    """Each transition is one event of the cluster, and the one about the broken checkpoint names it."""
    counted = Counter(str(it["reason"]) for it in evidence.cluster_events)
    wrong = [f"{reason}: {counted[reason]} times" for reason in ONCE if counted[reason] != 1]
    skipped = [str(it.get("message", "")) for it in evidence.cluster_events if it["reason"] == "CheckpointSkipped"]
    named = all(evidence.broken in note and "NotLoadable" in note for note in skipped)
    return Seen(not wrong and named, "; ".join(wrong) or f"once each: {', '.join(ONCE)}")


CLAIMS: tuple[Claim, ...] = (
    Claim("the operator acts as its own ServiceAccount, with the RBAC of deploy/ and no more", operator_rights),
    Claim("the training loop may get its hand-over and nothing else", loop_rights),
    Claim("the broken checkpoint was passed over, with the reason", passed_over),
    Claim("the one before it was restored, in one attempt", restored),
    Claim("the loop followed the hand-over and goes on from the checkpoint's step", handed_over),
    Claim("the optimizer state came along", optimizer_came_along),
    Claim("the loop, on the unmodified official SDK, printed no warning", no_warning),
    Claim("the TrainingRun follows the loop's new run and is Ready; its spec was never written", followed),
    Claim("exactly one run is alive at the service; the operator's own session is over", one_live_run),
    Claim("the policy deleted the older checkpoints", older_ones_went),
    Claim("what the recovery needed stayed, and status says why", needed_stayed),
    Claim("the last three are kept", last_three_kept),
    Claim("each transition is one Kubernetes Event", told_once),
)
