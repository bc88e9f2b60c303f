"""What a person declares: only for a lost run, only what has to change, and never anything that goes around a spec."""

from typing import Any

import pytest
from tests.core.strategies_policy import NOW
from tests.plugin import lab

from tinker_operator.api.reasons import Reason
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.plugin.declaring import Declaration, fresh_look, recovery, reset, suspension
from tinker_operator.plugin.endings import Declined
from tinker_operator.plugin.names import named, named_run
from tinker_operator.plugin.share_commands import publisher_of
from tinker_operator.tinker.paths import TinkerPath

pytestmark = pytest.mark.pure

PATH = TinkerPath.parse(f"tinker://{lab.LOST}/weights/step-10")
STAMP = {"annotations": {"tinker-operator.dev/reconcile-at": "2026-03-01T12:00:00Z"}}


def lost(reason: str = "RecoveryDisabled", spec: Any = None, corrupted: str = "True", **status: Any) -> TrainingRun:
    """A run that nobody restores."""
    conditions = [lab.condition("Stalled", "True", reason), lab.condition("Ready", "False", reason)]
    if corrupted:
        conditions.append(lab.condition("Corrupted", corrupted, "RunCorrupted"))
    return lab.run("bio-dpo", *conditions, spec=spec, trainingRunId=lab.LOST, **status)


def spec_of(declaration: Declaration) -> dict[str, Any]:
    told: dict[str, Any] = declaration.patch.get("spec", {}).get("recovery", {})
    return told


@pytest.mark.parametrize(
    ("run", "path", "spec"),
    [
        pytest.param(lost(), None, {"enabled": True}, id="recovery is off"),
        pytest.param(
            lost(),
            PATH,
            {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": str(PATH)},
            id="recovery is off, from a checkpoint",
        ),
        pytest.param(lost("RecoveryExhausted", {"recovery": {"enabled": True}}), None, {}, id="no attempt is left"),
        pytest.param(
            lost("RunNotFound", {"recovery": {"enabled": True}}, corrupted="Unknown"),
            None,
            {"onMissing": "Recover"},
            id="the run is gone",
        ),
        pytest.param(
            lost("TrainerFailed", {"recovery": {"enabled": True}}, corrupted="False"), None, {}, id="the Job failed"
        ),
        pytest.param(
            lost(
                "RecoveryExhausted",
                {"recovery": {"enabled": True, "checkpointStrategy": "Best", "metric": {"name": "loss"}}},
            ),
            PATH,
            {"checkpointStrategy": "Specific", "checkpoint": str(PATH), "metric": None},
            id="from a checkpoint instead of the best",
        ),
        pytest.param(
            lost(
                "RecoveryExhausted",
                {"recovery": {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": str(PATH)}},
            ),
            PATH,
            {},
            id="from what the spec names already",
        ),
        pytest.param(
            lab.recovering(),
            PATH,
            {"checkpointStrategy": "Specific", "checkpoint": str(PATH)},
            id="from another than the attempt under way",
        ),
        pytest.param(
            lab.recovering(recovery={"attempt": 1, "nextAttemptTime": lab.ahead(hours=1)}), None, {}, id="while waiting"
        ),
    ],
)
def test_a_lost_run_is_restored_by_the_fewest_changes(
    run: TrainingRun, path: TinkerPath | None, spec: dict[str, Any]
) -> None:
    """And by a new budget of attempts in any case."""
    declaration = recovery(run, path, NOW)
    assert spec_of(declaration) == spec
    assert declaration.patch["metadata"] == STAMP
    assert set(declaration.patch) <= {"metadata", "spec"}
    assert any("--reset" in remark for remark in declaration.remarks) == (path is not None)


SAMPLER = TinkerPath.parse(f"tinker://{lab.LOST}/sampler_weights/a")
HELD = {"suspend": True, "recovery": {"enabled": True}}


@pytest.mark.parametrize(
    ("run", "path", "said"),
    [
        pytest.param(lab.live(), None, "is healthy", id="healthy"),
        pytest.param(lab.live(), PATH, "spec.run.create.from", id="healthy, from a checkpoint"),
        pytest.param(lab.new(), PATH, "Nobody can tell", id="not seen yet"),
        pytest.param(lost("Unauthorized", corrupted="Unknown"), None, "Nobody can tell", id="not to be seen"),
        pytest.param(lost("Unauthorized", corrupted="False"), None, "healthy", id="last seen healthy"),
        pytest.param(lost(spec=HELD), None, "resume", id="suspended"),
        pytest.param(lost(spec={"managementPolicy": "ObserveOnly"}), None, "managementPolicy", id="only watched"),
        pytest.param(lost("RunClaimed"), None, "cannot be acted on", id="an older one follows the run"),
        pytest.param(lab.recovering(), None, "under way", id="being restored"),
        pytest.param(lost(), SAMPLER, "sampler_weights", id="from what cannot be trained"),
    ],
)
def test_anything_else_is_declined_with_the_way_out(run: TrainingRun, path: TinkerPath | None, said: str) -> None:
    with pytest.raises(Declined, match=said):
        recovery(run, path, NOW)


@pytest.mark.parametrize("reason", sorted(Reason))
def test_no_other_stall_makes_a_healthy_run_a_lost_one(reason: Reason) -> None:
    """Whatever else a person has to mend, the run trains on."""
    run = lost(reason, {"recovery": {"enabled": True}}, corrupted="False")
    if reason in {Reason.RECOVERY_DISABLED, Reason.RECOVERY_EXHAUSTED, Reason.RUN_NOT_FOUND, Reason.TRAINER_FAILED}:
        assert recovery(run, None, NOW).fields
    else:
        with pytest.raises(Declined):
            recovery(run, None, NOW)


def test_after_a_reset_the_newest_is_taken_again() -> None:
    specific = {"recovery": {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": str(PATH)}}
    back = lab.run("bio-dpo", lab.condition("Corrupted", "False", "NotCorrupted"), spec=specific)
    assert spec_of(reset(back)) == {"checkpointStrategy": "Latest", "checkpoint": None}
    assert reset(lab.live()).fields == {}
    with pytest.raises(Declined, match="is lost"):
        reset(lost(spec=specific))


@pytest.mark.parametrize("one", [lab.live(), lab.deleting()], ids=["a run", "a policy"])
def test_suspending_twice_changes_once(one: Any) -> None:
    assert suspension(one, suspend=True).patch == {"spec": {"suspend": True}}
    assert suspension(one, suspend=False).patch == {}


def test_a_look_is_asked_for_by_the_annotation_alone() -> None:
    assert fresh_look(NOW).patch == {"metadata": STAMP}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("math", ("TrainingRun", "math")),
        ("tr/math", ("TrainingRun", "math")),
        ("TrainingRuns/math", ("TrainingRun", "math")),
        ("ckp/keep", ("CheckpointPolicy", "keep")),
        ("checkpointpolicy/keep", ("CheckpointPolicy", "keep")),
    ],
)
def test_objects_are_named_as_kubectl_names_them(text: str, found: tuple[str, str]) -> None:
    resource, name = named(text)
    assert (resource.kind, name) == found


@pytest.mark.parametrize("text", ["", "tr/", "pod/x", "/x", "a/b/c"])
def test_what_names_nothing_is_told(text: str) -> None:
    with pytest.raises(InvalidSettings, match="names no object"):
        named(text)


def test_a_policy_is_no_run() -> None:
    with pytest.raises(InvalidSettings, match="is no TrainingRun"):
        named_run("ckp/keep")


def test_what_a_policy_publishes_or_is_about_to_is_its_own() -> None:
    """Announced is as good as done: it would be public a moment later."""
    shown = {"checkpoints": [{"path": str(PATH), "trainingRun": "bio-dpo", "public": False}]}
    policies = (lab.only_telling(), lab.policy("share", publishing=shown))
    found = publisher_of(str(PATH), policies)
    assert found is not None
    assert found.metadata.name == "share"
    assert publisher_of(str(SAMPLER), policies) is None
