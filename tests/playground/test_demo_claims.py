"""Every claim of the demonstration can fail: for each there is a world in which it does, and says what was seen."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from tests.playground.demo_evidence import BROKEN, FIRST, NEXT, PROOF, RESTORED, good, loop_events, path

from playground.demonstration import claims
from playground.demonstration.claims import CLAIMS, Seen, Verdict, judge
from playground.demonstration.closing import conclude
from playground.demonstration.evidence import Evidence, RunAtService
from playground.demonstration.loop_log import Told
from playground.demonstration.stage import Stage

pytestmark = pytest.mark.pure

Change = Callable[[Evidence], Evidence]


def in_status(change: Callable[[Any], object]) -> Change:
    """Change the TrainingRun's status in place."""

    def changed(evidence: Evidence) -> Evidence:
        change(evidence.training_run["status"])
        return evidence

    return changed


def in_record(**fields: object) -> Change:
    return in_status(lambda status: status["recovery"]["history"][-1].update(fields))


def in_policy(change: Callable[[Any], object]) -> Change:
    def changed(evidence: Evidence) -> Evidence:
        change(evidence.policy["status"])
        return evidence

    return changed


def in_loop(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Change:
    """Change or drop events of the loop."""
    events = [changed for it in loop_events() if (changed := change(dict(it))) is not None]
    return lambda evidence: replace(evidence, told=Told(tuple(events)))


def on(event: str, **fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda it: it | fields if it["event"] == event else it


def listed(*paths: str) -> Change:
    """Put checkpoints to the end of the service's list."""
    more = tuple({"tinker_path": it, "user_metadata": {"step": "5", "loss": "1"}} for it in paths)
    return lambda evidence: replace(evidence, checkpoints=evidence.checkpoints + more)


def unlisted(gone: str) -> Change:
    return lambda evidence: replace(
        evidence, checkpoints=tuple(it for it in evidence.checkpoints if it["tinker_path"] != gone)
    )


def run_at_service(run: RunAtService) -> Change:
    return lambda evidence: replace(
        evidence, runs=tuple(run if it.run_id == run.run_id else it for it in evidence.runs)
    )


def operator(**fields: Any) -> Change:
    return lambda evidence: replace(evidence, operator=replace(evidence.operator, **fields))


def loop(**fields: Any) -> Change:
    return lambda evidence: replace(evidence, loop=replace(evidence.loop, **fields))


def another_loss() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The second time that step 13 is trained, its loss is another."""
    seen: list[int] = []

    def change(it: dict[str, Any]) -> dict[str, Any]:
        seen.extend([it["step"]] if it["event"] == "step" else [])
        again = it["event"] == "step" and seen.count(13) == 2 and it["step"] == 13
        return it | {"loss": it["loss"] + 1e-4} if again else it

    return change


def few_steps(it: dict[str, Any]) -> dict[str, Any] | None:
    return None if it["event"] == "step" and 12 < it["step"] < 18 else it


TABLE: list[Any] = [
    pytest.param(claims.operator_rights, operator(user="admin"), "admin", id="the operator is the administrator"),
    pytest.param(
        claims.operator_rights,
        operator(bindings=frozenset({"tinker-operator", "tinker-operator-lease", "cluster-admin"})),
        "cluster-admin",
        id="somebody bound another role to the operator",
    ),
    pytest.param(
        claims.operator_rights,
        operator(may=claims.OPERATOR_MAY | {"list secrets": True}),
        "list secrets: yes",
        id="the operator may list Secrets",
    ),
    pytest.param(
        claims.operator_rights,
        operator(may=claims.OPERATOR_MAY | {"patch their spec": True}),
        "patch their spec: yes",
        id="nothing keeps the operator from changing a spec",
    ),
    pytest.param(
        claims.operator_rights,
        operator(may={what: may for what, may in claims.OPERATOR_MAY.items() if what != "patch their spec"}),
        "nothing to tell from",
        id="nobody tried to change a spec as the operator",
    ),
    pytest.param(claims.loop_rights, loop(user="admin"), "admin", id="the loop is the administrator"),
    pytest.param(
        claims.loop_rights,
        loop(may=claims.LOOP_MAY | {"get any other configmap": True}),
        "get any other configmap: yes",
        id="the loop may read any ConfigMap",
    ),
    pytest.param(
        claims.passed_over,
        in_record(candidates=[{"checkpoint": RESTORED, "verdict": "Good"}]),
        "Good",
        id="the broken checkpoint was never looked at",
    ),
    pytest.param(
        claims.passed_over,
        in_record(candidates=[{"checkpoint": BROKEN, "verdict": "NotLoadable", "message": ""}]),
        "NotLoadable",
        id="the broken checkpoint was passed over without a word",
    ),
    pytest.param(
        claims.passed_over,
        in_status(lambda status: status["recovery"].update(history=[])),
        "nothing to tell from",
        id="there was no recovery",
    ),
    pytest.param(claims.restored, in_record(result="BackendFailed"), "BackendFailed", id="the attempt failed"),
    pytest.param(claims.restored, in_record(checkpoint=path(FIRST, 5)), "step-000005", id="an older one was restored"),
    pytest.param(claims.restored, in_status(lambda it: it.update(recoveries=2)), "recoveries: 2", id="it took two"),
    pytest.param(claims.restored, in_record(fromTrainingRunId=NEXT), NEXT[:2], id="another run was restored"),
    pytest.param(
        claims.handed_over, in_loop(on("resumed", checkpoint=BROKEN)), "step-000015", id="the loop took the broken one"
    ),
    pytest.param(claims.handed_over, in_loop(on("resumed", start_step=0)), "step 0", id="the loop began anew"),
    pytest.param(claims.handed_over, unlisted(RESTORED), "nothing to tell from", id="the restored one is gone"),
    pytest.param(
        claims.handed_over,
        in_status(lambda it: it["handOver"].update(restoreOptimizer=False)),
        "resumed",
        id="the hand-over leaves the optimizer behind",
    ),
    pytest.param(
        claims.handed_over,
        in_loop(lambda it: None if it["event"] == "resumed" else it),
        "nothing to tell from",
        id="the loop never resumed",
    ),
    pytest.param(claims.optimizer_came_along, in_loop(another_loss()), "step 13", id="the losses are others"),
    pytest.param(claims.optimizer_came_along, in_loop(few_steps), "2 steps", id="too few steps to tell"),
    pytest.param(
        claims.no_warning,
        lambda it: replace(it, told=replace(it.told, noise=("WARNING: stale",))),
        "WARNING: stale",
        id="the SDK warned",
    ),
    pytest.param(
        claims.no_warning,
        in_loop(lambda it: None if it["event"] == "lost" else it),
        "runs lost: 0",
        id="the loop never lost its run",
    ),
    pytest.param(claims.followed, in_status(lambda it: it.update(trainingRunId=PROOF)), PROOF[:2], id="not followed"),
    pytest.param(
        claims.followed,
        in_status(lambda it: it["conditions"][0].update(status="False")),
        "Ready=False",
        id="not Ready",
    ),
    pytest.param(
        claims.followed,
        in_status(lambda it: it["conditions"].append({"type": "Stalled", "status": "True"})),
        "Stalled=True",
        id="Stalled",
    ),
    pytest.param(
        claims.followed,
        in_status(lambda it: it.update(conditions=[])),
        "nothing to tell from",
        id="no conditions",
    ),
    pytest.param(
        claims.followed,
        lambda it: replace(it, training_run=it.training_run | {"metadata": {"generation": 2}}),
        "generation 2",
        id="the spec was written",
    ),
    pytest.param(
        claims.one_live_run,
        run_at_service(RunAtService(PROOF, corrupted=False, session_alive=True)),
        "goes on",
        id="the operator's session goes on",
    ),
    pytest.param(
        claims.one_live_run,
        run_at_service(RunAtService(FIRST, corrupted=False, session_alive=True)),
        "s1…:train:0",
        id="the first run is alive as well",
    ),
    pytest.param(
        claims.one_live_run,
        lambda it: replace(it, runs=it.runs[::2]),
        "does not list",
        id="the operator's run is unknown",
    ),
    pytest.param(claims.older_ones_went, listed(path(FIRST, 5)), "gone: none", id="an old one is still there"),
    pytest.param(claims.older_ones_went, unlisted(BROKEN), "left: step-000010;", id="too much was deleted"),
    pytest.param(
        claims.older_ones_went,
        in_policy(lambda it: it.update(deletedTotal=0, deleted=[])),
        "deletedTotal: 0",
        id="the policy does not tell of it",
    ),
    pytest.param(claims.needed_stayed, unlisted(RESTORED), "RecoverySource", id="status keeps what is gone"),
    pytest.param(
        claims.needed_stayed,
        in_policy(lambda it: it["kept"][-1].update(because=["HandedOver"])),
        "HandedOver",
        id="it stayed for another reason",
    ),
    pytest.param(
        claims.needed_stayed,
        in_policy(lambda it: it["kept"][-1].update(because=["KeepLast", "RecoverySource"])),
        "KeepLast",
        id="it is one of the last three anyway",
    ),
    pytest.param(
        claims.needed_stayed, in_policy(lambda it: it["kept"].pop()), "nothing to tell from", id="status is silent"
    ),
    pytest.param(claims.last_three_kept, in_policy(lambda it: it["kept"].pop(0)), "KeepLast", id="only two are kept"),
    pytest.param(
        claims.last_three_kept,
        in_policy(lambda it: it["kept"][0].update(path=BROKEN)),
        "step-000015",
        id="one of the last three is of the lost run",
    ),
    pytest.param(
        claims.told_once,
        lambda it: replace(it, cluster_events=it.cluster_events + it.cluster_events[:1]),
        "RunBound: 2 times",
        id="an event came twice",
    ),
    pytest.param(
        claims.told_once, lambda it: replace(it, cluster_events=()), "RunBound: 0 times", id="there are no events"
    ),
    pytest.param(
        claims.told_once,
        lambda it: replace(it, broken=path(FIRST, 99)),
        "once each",
        id="the event names another checkpoint",
    ),
]


def test_all_claims_hold_when_all_went_well() -> None:
    """The evidence that the table changes is good to begin with."""
    assert [(it.title, it.seen.what) for it in judge(good()) if not it.seen.held] == []


@pytest.mark.parametrize(("check", "change", "said"), TABLE)
def test_a_claim_fails_when_it_is_not_so(check: Callable[[Evidence], Seen], change: Change, said: str) -> None:
    """It does not hold, and tells what was seen."""
    (title,) = [claim.title for claim in CLAIMS if claim.check is check]

    (verdict,) = [it for it in judge(change(good())) if it.title == title]

    assert not verdict.seen.held
    assert said in verdict.seen.what


def test_every_claim_has_a_way_to_fail() -> None:
    """A claim that is added without a line in the table is found here."""
    assert {claim.check for claim in CLAIMS} == {row.values[0] for row in TABLE}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param((True, True), "All 2 claims hold", id="all hold"),
        pytest.param((True, False), "1 of 2 claims do not hold: claim 1.", id="one does not"),
    ],
)
def test_the_demonstration_succeeds_only_if_every_claim_holds(held: tuple[bool, ...], said: str) -> None:
    """The last line names what failed, and the answer is what the exit status is made of."""
    screen = io.StringIO()
    stage = Stage(Console(file=screen, width=100), lambda: 0.0)
    verdicts = tuple(Verdict(f"claim {number}", Seen(it, "")) for number, it in enumerate(held))

    answer = conclude(stage, verdicts)

    assert answer is all(held)
    assert said in screen.getvalue()
