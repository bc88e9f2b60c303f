"""Exports of a CheckpointPolicy: what is chosen, one Job at a time, tried again, and what stays until it is there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from tests.core.legality import illegalities
from tests.core.strategies_policy import NOW, checkpoint, deleted_paths, path, policy, training_run

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_spec import Export, ExportFormat
from tinker_operator.api.export_status import ExportRecord, ExportState
from tinker_operator.api.meta import ConditionStatus
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.reasons import ConditionType, Reason
from tinker_operator.api.retention_spec import CheckpointType
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import find_condition
from tinker_operator.core.export_job import export_job, shown_target
from tinker_operator.core.export_references import with_exports
from tinker_operator.core.policy import next_policy_status, plan_policy
from tinker_operator.core.policy_export import ATTEMPTS, JobFate, export_status, look_again, plan_export, seen_to
from tinker_operator.core.policy_references import references
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.retention import Kept
from tinker_operator.core.world import (
    CheckpointKind,
    CheckpointsOf,
    Done,
    Fault,
    ObservedCheckpoint,
    ObservedRun,
    Performed,
)

pytestmark = pytest.mark.pure
BUCKET = {"s3": {"bucket": "models", "credentialsSecretRef": {"name": "store"}}}
HUB = {"hub": {"repo": "team/math", "tokenSecretRef": {"name": "hub", "key": "token"}}}
LISTING = (checkpoint("new", 1), checkpoint("old", 9), checkpoint("older", 10))
SERVICE = "https://tinker.internal/$(HF_TOKEN)"
BROKEN = Fault(Reason.KUBERNETES_FAULT, "No answer. Wait.")


def exporting(what: str = "All", to: object = None, **settings: object) -> CheckpointPolicy:
    asked = policy(**settings)  # type: ignore[arg-type]
    export = Export.model_validate({"what": what, "to": to or BUCKET})
    return asked.model_copy(update={"spec": asked.spec.model_copy(update={"export": export})})


@dataclass
class Rounds:
    """A policy that is reconciled round after round, as the controller does it, with Jobs that end as they are told."""

    policy: CheckpointPolicy
    listing: tuple[ObservedCheckpoint, ...] | Fault = LISTING
    now: datetime = NOW
    ends: Callable[[ExportRecord], JobFate | Fault] = lambda _: JobFate.SUCCEEDED
    made: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def seen(self) -> PolicySeen:
        run = training_run()
        governed = (Governed(run, {"r1": ObservedRun("r1", "base")}, {CheckpointsOf("r1"): self.listing}),)
        return PolicySeen(governed, (self.policy,), with_exports(references((run,)), (self.policy,), governed))

    def round(self) -> None:
        seen = self.seen()
        plan = plan_policy(self.policy, seen, self.now)
        performed = tuple(Performed(action, Done()) for action in plan.plan.actions)
        exports = plan_export(self.policy, plan, self.now)
        for turn in exports.due:
            assert turn.record in self.policy.status.exports, "it stands in status before its Job is made"
            first = turn.record.job not in self.made
            makes = first and turn.make
            self.made += [turn.record.job] if makes else []
            fate = JobFate.MADE if makes else JobFate.GONE if first else self.ends(turn.record)
            exports = seen_to(exports, turn, fate, self.now)
        status = next_policy_status(self.policy, seen, plan, performed, self.now)
        status = export_status(self.policy, exports, status, self.now)
        assert illegalities(self.policy.metadata.generation, status.observed_generation, status.conditions) == []
        busy = [it for it in status.exports if it.state in {ExportState.PENDING, ExportState.RUNNING}]
        export = self.policy.spec.export
        assert len(busy) <= (1 if export is None else export.parallelism), "no more at a time"
        self.deleted += deleted_paths(plan.plan.actions)
        if not isinstance(self.listing, Fault):
            self.listing = tuple(it for it in self.listing if it.path not in self.deleted)
        self.policy = self.policy.model_copy(update={"status": status})

    def many(self, count: int = 30) -> "Rounds":
        for _ in range(count):
            self.round()
        return self

    @property
    def there(self) -> list[str]:
        return [it.path for it in self.policy.status.exports if it.state is ExportState.SUCCEEDED]

    def reason(self) -> Reason | str:
        found = find_condition(self.policy.status.conditions, ConditionType.EXPORTED)
        assert found is not None
        return found.reason


LOSSES = tuple(
    checkpoint(name, hours, metadata={"loss": loss})
    for name, hours, loss in (("new", 1, "0.9"), ("good", 2, "0.2"), ("fair", 3, "0.5"), ("nan", 4, "nan"))
)
BEST = {"keep_best": {"count": 3, "metric": {"name": "loss", "mode": "Min"}}, "keep_last": None}


@pytest.mark.parametrize(
    ("asked", "listing", "names"),
    [
        pytest.param(exporting("Latest"), LISTING, ["new"], id="Latest is the newest alone"),
        pytest.param(exporting("Best", **BEST), LOSSES, ["good"], id="Best is the best alone, never NaN"),
        pytest.param(exporting("All"), LISTING, ["older", "old", "new"], id="All are all, oldest first"),
        pytest.param(exporting("All", suspend=True), LISTING, [], id="suspended, nothing begins"),
        pytest.param(exporting("All"), BROKEN, [], id="nothing on an incomplete view"),
        pytest.param(exporting("Latest"), (checkpoint("x", None),), [], id="nothing without a time"),
    ],
)
def test_what_is_chosen_is_exported_once_each(
    asked: CheckpointPolicy, listing: tuple[ObservedCheckpoint, ...] | Fault, names: list[str]
) -> None:
    """One Job each, however many rounds there are; at rest nothing changes and nothing is to be looked at."""
    rounds = Rounds(
        asked.model_copy(
            update={
                "spec": asked.spec.model_copy(
                    update={"retention": asked.spec.retention.model_copy(update={"action": "Report"})}
                )
            }
        ),
        listing,
    )
    rounds.many()
    exported = [it.path for it in rounds.policy.status.exports if it.state is ExportState.SUCCEEDED]
    assert (exported, len(rounds.made)) == ([path("r1", name) for name in names], len(names))
    before = rounds.policy.status
    rounds.round()
    assert rounds.policy.status == before
    assert look_again(rounds.policy, rounds.policy.status, NOW) is None


def test_with_all_nothing_goes_before_it_is_at_the_target() -> None:
    """What retention lets go stays until then, with the reason, and goes after."""
    rounds = Rounds(exporting("All"), ends=lambda _: JobFate.MADE)
    rounds.many()
    judged = plan_policy(rounds.policy, rounds.seen(), NOW).judged
    assert all(isinstance(it.judgement, Kept) and KeepReason.EXPORTING in it.judgement.because for it in judged)
    assert (rounds.deleted, len(rounds.made), rounds.reason()) == ([], 1, Reason.EXPORTING)
    rounds.ends = lambda _: JobFate.SUCCEEDED
    rounds.many()
    assert rounds.deleted == [path("r1", "older"), path("r1", "old")]
    assert (rounds.there, rounds.reason()) == ([path("r1", "new")], Reason.EXPORTED)


def test_one_under_way_stays_though_another_is_newest_by_now() -> None:
    """Latest, and a newer checkpoint comes while the Job runs: the Job is watched to its end."""
    rounds = Rounds(exporting("Latest"), (checkpoint("first", 2),), ends=lambda _: JobFate.MADE).many(5)
    rounds.listing = (checkpoint("second", 1), checkpoint("first", 2))
    rounds.many(5)
    assert (rounds.deleted, len(rounds.made)) == ([], 1)
    rounds.ends = lambda _: JobFate.SUCCEEDED
    rounds.many()
    assert (rounds.deleted, rounds.there, len(rounds.made)) == ([path("r1", "first")], [path("r1", "second")], 2)


def test_a_checkpoint_saved_anew_is_another() -> None:
    """The same path at another time is exported again, under another Job's name."""
    rounds = Rounds(exporting("Latest"), (checkpoint("same", 2),)).many(6)
    rounds.listing = (checkpoint("same", 1),)
    rounds.many(6)
    assert (len(rounds.made), len(set(rounds.made)), rounds.there) == (2, 2, [path("r1", "same")])


@pytest.mark.parametrize("fate", [JobFate.FAILED, JobFate.GONE])
def test_what_fails_is_tried_again_with_a_wait_and_then_no_more(fate: JobFate) -> None:
    """Each attempt has a Job of its own; a change of the policy begins anew; its checkpoint is never let go."""
    rounds = Rounds(exporting("All"), LISTING[2:], ends=lambda _: fate).many(5)
    assert (len(rounds.made), rounds.reason()) == (1, Reason.EXPORT_FAILED)
    assert look_again(rounds.policy, rounds.policy.status, rounds.now) == 60
    for _ in range(60):
        rounds.now += timedelta(minutes=10)
        rounds.many(4)
    assert (len(set(rounds.made)), rounds.deleted) == (ATTEMPTS, [])
    assert look_again(rounds.policy, rounds.policy.status, rounds.now) is None
    metadata = rounds.policy.metadata.model_copy(update={"generation": 2})
    rounds.policy, rounds.ends = rounds.policy.model_copy(update={"metadata": metadata}), lambda _: JobFate.SUCCEEDED
    rounds.many(5)
    assert (len(set(rounds.made)), rounds.reason()) == (ATTEMPTS + 1, Reason.EXPORTED)


def test_a_fault_is_shown_and_does_not_count_as_an_attempt() -> None:
    rounds = Rounds(exporting("Latest"), ends=lambda _: BROKEN).many(9)
    (record,) = rounds.policy.status.exports
    assert (record.attempt, record.message, rounds.reason()) == (1, BROKEN.message, Reason.EXPORT_HELD_UP)


def test_without_the_wish_nothing_is_said_of_exports() -> None:
    rounds = Rounds(policy()).many(3)
    assert rounds.policy.status.exports == ()
    assert find_condition(rounds.policy.status.conditions, ConditionType.EXPORTED) is None


def keyed_run() -> TrainingRun:
    run = training_run()
    reference = {"credentialsRef": {"name": "tinker"}}
    return TrainingRun.model_validate(
        {**run.model_dump(by_alias=True), "spec": {**run.model_dump(by_alias=True)["spec"], **reference}}
    )


@pytest.mark.parametrize("to", [BUCKET, HUB], ids=["bucket", "hub"])
def test_keys_come_by_reference_and_never_in_arguments(to: object) -> None:
    """Whatever is secret is a reference to a Secret of the namespace; the path cannot name a variable."""
    asked = exporting("All", to)
    export = asked.spec.export
    assert export is not None
    record = ExportRecord(path="tinker://r1/weights/$(HF_TOKEN)", training_run="sft", target="t", job="j")
    job = export_job(asked, export, record, keyed_run(), image="image", base_url=SERVICE)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    secrets = {it["name"] for it in container["env"] if "valueFrom" in it}
    assert {"TINKER_API_KEY"} | ({"HF_TOKEN"} if to is HUB else {"AWS_SECRET_ACCESS_KEY"}) <= secrets
    plain = {it["name"]: it["value"] for it in container["env"] if "value" in it}
    assert plain.keys() <= {"HOME", "TMPDIR", "HF_HOME", "AWS_REGION", "TINKER_BASE_URL", "TINKER_CA_FILE"}
    assert plain["TINKER_BASE_URL"] == "https://tinker.internal/$$(HF_TOKEN)", "the service that the key is for"
    assert "tinker://r1/weights/$$(HF_TOKEN)" in container["args"]


def test_the_authorities_of_the_service_go_with_its_key() -> None:
    """From the same Secret, as a file: a bundle is too long for a variable. One without it starts the Job too."""
    asked = exporting()
    assert asked.spec.export is not None
    record = ExportRecord(path="tinker://r1/weights/x", training_run="sft", target="t", job="j")
    job = export_job(asked, asked.spec.export, record, keyed_run(), image="image", base_url=SERVICE)
    pod = job["spec"]["template"]["spec"]
    told = {it["name"]: it for it in pod["containers"][0]["env"]}
    (held,) = (it["secret"] for it in pod["volumes"] if "secret" in it)
    (mount,) = (it for it in pod["containers"][0]["volumeMounts"] if it["name"] == "authorities")
    assert held == {"secretName": "tinker", "optional": True, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    assert (mount["readOnly"], told["TINKER_CA_FILE"]["value"]) == (True, f"{mount['mountPath']}/ca.crt")
    assert told["TINKER_API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "tinker"


def test_an_address_cannot_name_a_variable() -> None:
    """The kubelet would put the key into it."""
    asked = exporting("All", {"s3": {"bucket": "models", "endpointURL": "https://store.example/$(TINKER_API_KEY)"}})
    export = asked.spec.export
    assert export is not None
    record = ExportRecord(path="tinker://r1/weights/x", training_run="sft", target="t", job="j")
    job = export_job(asked, export, record, keyed_run(), image="image", base_url=SERVICE)

    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "https://store.example/$$(TINKER_API_KEY)" in container["args"]


def in_form(form: str) -> CheckpointPolicy:
    asked = exporting("Latest")
    export = Export.model_validate({"what": "Latest", "to": BUCKET, "format": form})
    return asked.model_copy(update={"spec": asked.spec.model_copy(update={"export": export})})


@pytest.mark.parametrize("form", list(ExportFormat))
def test_a_job_is_told_the_format(form: ExportFormat) -> None:
    asked = in_form(form.value)
    assert asked.spec.export is not None
    record = ExportRecord(path="tinker://r1/weights/x", training_run="sft", target="t", job="j")
    job = export_job(asked, asked.spec.export, record, keyed_run(), image="image", base_url=SERVICE)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--format") + 1] == form.value


def test_another_format_is_another_target() -> None:
    """What is there in one is exported in the other; the usual one is known by what it was before there were two."""
    shown = {form: shown_target(export) for form in ExportFormat if (export := in_form(form.value).spec.export)}
    assert len(set(shown.values())) == len(ExportFormat)
    assert shown[ExportFormat.SAFETENSORS] == "s3://models#11e7677b"
    game = Rounds(in_form("Safetensors")).many(6)
    edited(game, in_form("GGUF"))
    game.many(6)
    assert (len(set(game.made)), game.there) == (2, [path("r1", "new")])


def edited(game: Rounds, asked: CheckpointPolicy) -> None:
    """The user changes the policy."""
    metadata = game.policy.metadata.model_copy(update={"generation": game.policy.metadata.generation + 1})
    game.policy = game.policy.model_copy(update={"spec": asked.spec, "metadata": metadata})


def test_a_suspended_policy_does_not_look_for_the_next_attempt() -> None:
    """It would look again at once, for ever."""
    game = Rounds(exporting("Latest"), ends=lambda _: JobFate.FAILED).many(3)
    edited(game, exporting("Latest", suspend=True))
    game.now += timedelta(hours=5)
    game.many(3)

    assert look_again(game.policy, game.policy.status, game.now) is None
    assert game.reason() == Reason.EXPORT_FAILED


def test_a_job_whose_making_was_not_written_down_is_watched_all_the_same() -> None:
    """A crash after the making, and a newer checkpoint before the next look: no second Job beside the first."""
    game = Rounds(exporting("Latest", HUB))
    game.round()
    before = game.policy
    game.round()
    assert len(game.made) == 1
    game.policy, game.listing = before, (checkpoint("newer", 0.5), *LISTING)
    game.round()

    assert [it.state for it in game.policy.status.exports] == [ExportState.PENDING] or len(game.made) == 1
    game.many()
    assert game.there[-1] == path("r1", "newer")


def test_an_export_that_is_taken_out_and_put_back_goes_on_with_its_job() -> None:
    """And its checkpoint stays meanwhile."""
    game = Rounds(exporting("Latest", HUB), ends=lambda _: JobFate.MADE).many(3)
    edited(game, policy())
    game.round()
    assert [it.state for it in game.policy.status.exports] == [ExportState.RUNNING]
    edited(game, exporting("Latest", HUB))
    game.many(3)

    assert len(game.made) == 1


def test_only_training_checkpoints_are_exported() -> None:
    """A sampler that was saved beside the newest is newer still, and cannot be downloaded."""
    types = (CheckpointType.TRAINING, CheckpointType.SAMPLER)
    sampler = ObservedCheckpoint(
        "tinker://r1/sampler_weights/s",
        "r1",
        kind=CheckpointKind.SAMPLER,
        time=NOW - timedelta(minutes=30),
        size_bytes=1,
    )
    game = Rounds(exporting("Latest", checkpoint_types=types), (checkpoint("new", 1), sampler)).many()

    assert game.there == [path("r1", "new")]


def test_one_training_run_without_a_key_holds_up_no_other() -> None:
    """Its export waits, and those of the others go on."""
    runs = (training_run("a"), training_run("b", current="r2", lineage=("r2",)))
    held = Fault(Reason.EXPORT_HELD_UP, "TrainingRun a names no Secret.", needs_user=True)
    mine = {"r1": (checkpoint("x", 9),), "r2": (checkpoint("y", 1, run_id="r2"), checkpoint("z", 2, run_id="r2"))}
    asked, now, made = exporting("All", keep_last=1), NOW, list[str]()
    for _ in range(40):
        governed = tuple(
            Governed(run, {key: ObservedRun(key, "base")}, {CheckpointsOf(key): mine[key]})
            for run, key in zip(runs, mine, strict=True)
        )
        seen = PolicySeen(governed, (asked,), with_exports(references(runs), (asked,), governed))
        plan = plan_policy(asked, seen, now)
        exports = plan_export(asked, plan, now)
        for turn in exports.due:
            first = turn.record.job not in made
            fate = held if turn.record.training_run == "a" else JobFate.MADE if first else JobFate.SUCCEEDED
            made += [turn.record.job] if fate is JobFate.MADE else []
            exports = seen_to(exports, turn, fate, now)
        status = export_status(asked, exports, next_policy_status(asked, seen, plan, (), now), now)
        asked, now = asked.model_copy(update={"status": status}), now + timedelta(minutes=1)

    assert len(made) == 2


@pytest.mark.parametrize(
    ("game", "status"),
    [
        pytest.param(Rounds(exporting("All"), BROKEN), ConditionStatus.UNKNOWN, id="nothing could be seen"),
        pytest.param(Rounds(exporting("All", suspend=True)), ConditionStatus.FALSE, id="suspended"),
    ],
)
def test_exported_is_not_true_of_what_was_not_looked_at(game: Rounds, status: ConditionStatus) -> None:
    """Somebody may wait for it before the runs are removed."""
    game.many(3)
    found = find_condition(game.policy.status.conditions, ConditionType.EXPORTED)

    assert found is not None
    assert found.status == status
