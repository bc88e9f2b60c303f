"""Rounds of a CheckpointPolicy while the cluster goes on: what changes between a listing and a deletion is heeded.

The store, the reporter and every decision are real; the two ends, the service and the API server, are small fakes.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.core.builders import FIRST, MODEL, START, path_of

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.checkpoint_policy import reconcile_checkpoint_policy
from tinker_operator.controllers.held_up import HeldUp
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS
from tinker_operator.controllers.policy_metrics import FigureBook
from tinker_operator.controllers.reporter import Reporter
from tinker_operator.controllers.services import Service
from tinker_operator.controllers.shell import Shell
from tinker_operator.core.inventory import Inventory, next_inventory
from tinker_operator.core.world import ObservedRun
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kube_errors import KubeUnavailable, WriteConflict
from tinker_operator.engine.store import Store
from tinker_operator.tinker.errors import NotFound, ServiceUnreachable
from tinker_operator.tinker.models import Checkpoint
from tinker_operator.tinker.paths import TinkerPath

pytestmark = pytest.mark.pure
NOW = START + timedelta(days=2)


def saved(step: int, **changes: Any) -> Checkpoint:
    """A training checkpoint, saved so many minutes after the start."""
    facts = {
        "checkpoint_id": f"weights/step-{step}",
        "checkpoint_type": "training",
        "tinker_path": path_of(step),
        "time": START + timedelta(minutes=step),
        "size_bytes": 100,
        "user_metadata": {},
    }
    return Checkpoint.model_validate(facts | changes)


class FakeService:
    """One run with checkpoints; a test may change the world at every listing and around every deletion."""

    def __init__(self, *steps: int) -> None:
        self.there = {path_of(step): saved(step) for step in steps}
        self.deleted: list[str] = []
        self.lists = 0
        self.before_listing: Callable[[int], None] = lambda _: None
        self.after_listing: Callable[[int], None] = lambda _: None
        self.lost_answers = 0

    def reserved(self) -> AbstractAsyncContextManager[None]:
        """There is always room."""
        return nullcontext()

    async def checkpoints(self, run_id: str) -> tuple[Checkpoint, ...]:
        """Lists, yielding to others as a real call does."""
        self.lists += 1
        count = self.lists
        self.before_listing(count)
        listed = tuple(self.there.values()) if run_id == FIRST else ()
        await asyncio.sleep(0)
        self.after_listing(count)
        return listed

    async def delete_checkpoint(self, path: TinkerPath) -> None:
        """Deletes; sometimes nobody hears of it."""
        if str(path) not in self.there:
            raise NotFound("There is no such checkpoint.", status=404)
        del self.there[str(path)]
        self.deleted.append(str(path))
        if self.lost_answers:
            self.lost_answers -= 1
            raise ServiceUnreachable("The connection broke.")


def merge_patched(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Applies a merge patch as RFC 7386 has it."""
    changed = {
        key: merge_patched(document.get(key) or {}, it) if isinstance(it, dict) else it for key, it in patch.items()
    }
    return {key: it for key, it in {**document, **changed}.items() if it is not None}


class FakeApi:
    """The status subresource with its precondition."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.version = 1000
        self.writes = 0
        self.refusal: Exception | None = None
        self.pruned: frozenset[str] = frozenset()

    async def patch_status(self, _: Resource, key: ObjectKey, patch: dict[str, Any], version: str) -> KubeObject:
        """Merges the patch, if the version is the present one."""
        if self.refusal is not None:
            raise self.refusal
        obj = self.store.get(key)
        assert obj is not None
        if obj["metadata"]["resourceVersion"] != version:
            raise WriteConflict("It changed.", "It is read again.")
        self.version, self.writes = self.version + 1, self.writes + 1
        merged = merge_patched(obj.get("status") or {}, patch)
        status = {name: it for name, it in merged.items() if name not in self.pruned}
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}, "status": status}


class Stage:
    """One cluster and one service."""

    def __init__(self, *steps: int) -> None:
        self.store = Store()
        self.service = FakeService(*steps)
        self.api = FakeApi(self.store)
        self.inventory = next_inventory(Inventory(), [ObservedRun(FIRST, MODEL)], watched=[], now=NOW)
        self.connection = Service(cast("Any", self.service))
        parts = SimpleNamespace(
            store=self.store,
            api=self.api,
            cluster_id="test",
            services=SimpleNamespace(inventory_of=lambda _: self.inventory, of=lambda _: self.connection),
            client_of=lambda _: self.service,
            reporter=Reporter(cast("Any", self.api), self.store, cast("Any", None), cast("Any", None)),
            clock=lambda: NOW,
            figures=FigureBook(),
        )
        self.shell = cast("Shell", parts)

    def put(self, kind: str, name: str, namespace: str = "team", **facts: Any) -> None:
        """Writes an object; a new spec is a new generation, and status stays unless it is given."""
        key = ObjectKey(kind, namespace, name)
        before = self.store.get(key) or {"metadata": {"generation": 0}}
        self.api.version += 1
        generation = before["metadata"]["generation"] + (facts.get("spec", before.get("spec")) != before.get("spec"))
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"{kind}/{namespace}/{name}",
            "generation": generation,
            "resourceVersion": str(self.api.version),
            "labels": facts.pop("labels", {}),
        }
        self.store.apply(kind, {**before, **facts, "metadata": metadata})

    def training_run(self, name: str = "sft", namespace: str = "team", *, run: str = FIRST, **facts: Any) -> None:
        """A TrainingRun that follows a run."""
        recovery, more = facts.pop("recovery", {}), facts.pop("status", {})
        spec = {"run": {"trainingRunId": run}, "recovery": recovery}
        status = {"trainingRunId": run, "origin": run, "lineage": [run], **more}
        self.put(TRAINING_RUNS.kind, name, namespace, spec=spec, status=status, **facts)

    def policy(self, name: str = "keep", namespace: str = "team", *, keep: int = 1, **facts: Any) -> None:
        """A policy for every TrainingRun of the namespace, that deletes."""
        retention = {"action": facts.pop("action", "Delete"), "keepLast": keep}
        spec = {"selector": {"matchLabels": {}}, "retention": retention, "suspend": facts.pop("suspend", False)}
        self.put(CHECKPOINT_POLICIES.kind, name, namespace, spec=spec, **facts)

    async def round(self, name: str = "keep") -> float | None:
        """One round of a policy."""
        return await reconcile_checkpoint_policy(self.shell, ObjectKey(CHECKPOINT_POLICIES.kind, "team", name))

    def status(self, name: str = "keep") -> dict[str, Any]:
        """A policy's status."""
        obj = self.store.get(ObjectKey(CHECKPOINT_POLICIES.kind, "team", name)) or {}
        return obj.get("status") or {}

    def announced(self, name: str = "keep") -> list[str]:
        """What status says that goes next."""
        return [one["path"] for one in self.status(name).get("deleting", ())]

    async def at(self, moment: str, change: Callable[[], object]) -> None:
        """Plays two rounds and changes the world in the middle: while listing, or right before the first deletion."""
        await self.round()
        first = self.service.lists + 1
        when = {"while it lists": first, "right before it deletes": first + 1}[moment]

        def listed(count: int) -> None:
            if count == when:
                change()

        self.service.after_listing = listed


async def played(stage: Stage) -> None:
    """A round, in which the object may have changed."""
    try:
        await stage.round()
    except (WriteConflict, HeldUp):
        return


MOMENTS = pytest.mark.parametrize("moment", ["while it lists", "right before it deletes"])


async def test_it_announces_first_and_deletes_and_counts_then_and_rests() -> None:
    """Round by round: announced, deleted, at rest without a write."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()

    assert await stage.round() == 0
    assert (stage.service.deleted, stage.announced()) == ([], [path_of(1), path_of(2)])
    assert await stage.round() == 30
    assert (stage.service.deleted, stage.announced()) == ([path_of(1), path_of(2)], [])
    assert stage.status()["deletedTotal"] == 2
    writes = stage.api.writes
    assert await stage.round() == 30
    assert stage.api.writes == writes


@MOMENTS
async def test_a_checkpoint_that_a_new_training_run_names_stays(moment: str) -> None:
    """Of another namespace, too."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    wanted = {"enabled": True, "checkpointStrategy": "Specific", "checkpoint": path_of(1)}
    await stage.at(moment, lambda: stage.training_run("b", "other", run="x:train:0", recovery=wanted))
    await played(stage)

    assert path_of(1) in stage.service.there
    assert stage.service.deleted == [path_of(2)]
    assert path_of(1) not in stage.announced()


@MOMENTS
async def test_the_candidates_of_a_recovery_that_has_just_begun_stay(moment: str) -> None:
    """It is loading one of them."""
    stage = Stage(1, 2, 3)
    stage.training_run(recovery={"enabled": True})
    stage.policy()
    flight = {
        "attempt": 1,
        "fromTrainingRunId": FIRST,
        "startedAt": "2026-01-01T00:00:00Z",
        "sessionId": "s1",
        "checkpoint": path_of(2),
    }
    begun = {"recovery": {"attempt": 1, "inFlight": flight}}
    await stage.at(moment, lambda: stage.training_run(recovery={"enabled": True}, status=begun))
    await played(stage)

    assert stage.service.deleted == []


CHANGES: dict[str, dict[str, Any]] = {
    "suspended": {"suspend": True},
    "keepLast raised": {"keep": 100},
    "only reporting": {"action": "Report"},
    "edited at all": {"keep": 2},
}


@MOMENTS
@pytest.mark.parametrize("name", CHANGES)
async def test_a_policy_that_is_edited_deletes_nothing_more(name: str, moment: str) -> None:
    """It is judged anew in a round of its own."""
    stage = Stage(*range(1, 9))
    stage.training_run()
    stage.policy()
    await stage.at(moment, lambda: stage.policy(**CHANGES[name]))
    await played(stage)

    assert stage.service.deleted == []


@MOMENTS
async def test_a_policy_that_is_deleted_deletes_nothing_more(moment: str) -> None:
    """Nobody asks for it any more."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    key = ObjectKey(CHECKPOINT_POLICIES.kind, "team", "keep")
    await stage.at(moment, lambda: stage.store.discard(key.kind, stage.store.get(key) or {}))
    stage.api.refusal = WriteConflict("It is gone.", "Nothing is to be done.")
    await played(stage)

    assert stage.service.deleted == []


@MOMENTS
async def test_another_policy_that_keeps_it_is_heard_at_once(moment: str) -> None:
    """One of another namespace, too, if its TrainingRun follows the same run."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.training_run("theirs", "other")
    stage.policy()
    await stage.at(moment, lambda: stage.policy("all", "other", keep=100))
    await played(stage)

    assert stage.service.deleted == []


@MOMENTS
async def test_a_training_run_that_moves_on_to_another_run_waits_for_its_listing(moment: str) -> None:
    """Judged on listings of its whole lineage only."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    moved = {"trainingRunId": "s1:train:0", "lineage": [FIRST, "s1:train:0"]}
    await stage.at(moment, lambda: stage.training_run(status=moved))
    await played(stage)

    assert stage.service.deleted == []


@pytest.mark.parametrize(
    "change", [{"user_metadata": {"pinned": "true"}}, {"public": True}, {"size_bytes": 7}], ids=str
)
async def test_a_checkpoint_that_changed_in_between_stays(change: dict[str, Any]) -> None:
    """Pinned, published, or saved anew between the judgement and the deletion."""
    stage = Stage(1, 2)
    stage.training_run()
    stage.policy()
    await stage.at("while it lists", lambda: stage.service.there.update({path_of(1): saved(1, **change)}))
    await played(stage)

    assert stage.service.deleted == []
    assert stage.status().get("deletedTotal") == 0


async def test_a_write_conflict_after_a_deletion_loses_no_count() -> None:
    """Somebody labels the policy meanwhile, so that the report is refused."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    await stage.at("right before it deletes", lambda: stage.policy(labels={"x": "y"}))
    with pytest.raises(WriteConflict):
        await stage.round()
    assert len(stage.service.deleted) == 2
    await stage.round()

    assert stage.status()["deletedTotal"] == 2
    assert [one["path"] for one in stage.status()["deleted"]] == [path_of(1), path_of(2)]
    assert stage.announced() == []


async def test_a_lost_answer_loses_no_count_and_ends_the_round_for_its_training_run() -> None:
    """The next listing tells that it went."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    await stage.round()
    stage.service.lost_answers = 1
    with pytest.raises(HeldUp):
        await stage.round()
    assert (stage.service.deleted, stage.status()["deletedTotal"]) == ([path_of(1)], 0)
    await stage.round()

    assert stage.service.deleted == [path_of(1), path_of(2)]
    assert stage.status()["deletedTotal"] == 2


async def test_what_somebody_else_deleted_is_not_counted() -> None:
    """It is gone right before its deletion."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    await stage.at("while it lists", lambda: stage.service.there.pop(path_of(1)))
    await stage.round()
    await stage.round()

    assert stage.service.deleted == [path_of(2)]
    assert (stage.status()["deletedTotal"], stage.status()["dueCount"]) == (1, 0)


async def test_two_policies_count_each_deletion_once() -> None:
    """Whichever comes first, and both at once."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy("keep")
    stage.policy("also")
    for _ in range(4):
        await asyncio.gather(stage.round("keep"), stage.round("also"))

    assert stage.service.deleted == [path_of(1), path_of(2)]
    assert [stage.status(name)["deletedTotal"] for name in ("also", "keep")] == [2, 0]
    assert stage.status("keep")["dueCount"] == 0


async def test_nothing_is_deleted_while_status_cannot_be_written() -> None:
    """Not even the first ten: they could not be announced."""
    stage = Stage(*range(1, 41))
    stage.training_run()
    stage.policy()
    stage.api.refusal = KubeUnavailable("It is away.", "Wait.")
    for _ in range(3):
        with pytest.raises(KubeUnavailable):
            await stage.round()
    assert stage.service.deleted == []

    stage.api.refusal = None
    await stage.round()
    stage.api.refusal = KubeUnavailable("It is away again.", "Wait.")
    for _ in range(3):
        with pytest.raises(KubeUnavailable):
            await stage.round()
    assert len(stage.service.deleted) == 10

    stage.api.refusal = None
    while await stage.round() == 0:
        pass
    assert stage.status()["deletedTotal"] == len(stage.service.deleted) == 39


async def test_an_api_server_that_drops_the_journal_is_backed_off_from() -> None:
    """Its CRDs are older; without its own field the announcement would be written for ever."""
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    stage.api.pruned = frozenset({"deleting", "marked", "recentDeletions"})
    for _ in range(3):
        with pytest.raises(HeldUp, match="apply crds/"):
            await stage.round()

    assert stage.service.deleted == []


BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "a TrainingRun": (TRAINING_RUNS.kind, {"spec": {"run": 7}}),
    "a CheckpointPolicy": (
        CHECKPOINT_POLICIES.kind,
        {"spec": {"selector": {"matchLabels": {}}, "retention": {"keepLast": "many"}}},
    ),
}


@MOMENTS
@pytest.mark.parametrize("name", BROKEN)
async def test_an_object_anywhere_that_does_not_parse_holds_every_deletion_up(name: str, moment: str) -> None:
    """What it keeps or refers to is unknown; the policies say which one it is."""
    kind, facts = BROKEN[name]
    stage = Stage(1, 2, 3)
    stage.training_run()
    stage.policy()
    await stage.at(moment, lambda: stage.put(kind, "newer", "far", **facts))
    await played(stage)
    await played(stage)

    assert stage.service.deleted == []
    ready = next(one for one in stage.status()["conditions"] if one["type"] == "Ready")
    assert ready["reason"] == Reason.INVALID_SPEC
    assert f"{kind} far/newer" in ready["message"]
