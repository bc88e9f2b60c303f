"""What the client concludes from words: which refusals are of a form, which pages are whole, which 404 is a lesson."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tinker_operator.tinker import CheckpointKind, TinkerClient, TinkerPath
from tinker_operator.tinker.dialects import Support
from tinker_operator.tinker.dialects.refusals import lacks_create_form
from tinker_operator.tinker.dialects.restoring import BLANK_NUMBERS
from tinker_operator.tinker.errors import (
    BadRequest,
    CallNotPossible,
    FutureFailed,
    IncompleteListing,
    InvalidTinkerPath,
    NotFound,
    RouteMissing,
    ServerFault,
    StatusError,
    TinkerError,
    Unauthorized,
    Unprocessable,
)
from tinker_operator.tinker.models import FutureAnswer

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]


@pytest.mark.parametrize(
    ("refusal", "form_is_missing"),
    [
        pytest.param(
            Unprocessable("", said="body.model_id: Field required; body.seq_id: Field required"), True, id="validator"
        ),
        pytest.param(BadRequest("", said="model_id is required"), True, id="a sentence"),
        pytest.param(BadRequest("", said="missing field `seq_id` at line 1"), True, id="another language"),
        pytest.param(
            Unprocessable("", said="body.session_id: Extra inputs are not permitted"), True, id="fields of ours"
        ),
        pytest.param(BadRequest("", said="Path is invalid: tinker://r/sampler_weights/a"), False, id="a sampler path"),
        pytest.param(BadRequest("", said="Checkpoint model configuration is incompatible"), False, id="a mismatch"),
        pytest.param(
            BadRequest("", said="model_id is required to find the checkpoint"), False, id="the form and the checkpoint"
        ),
        pytest.param(Unprocessable("", said="body.path: Field required"), False, id="the path"),
        pytest.param(BadRequest("", said="Unknown session_id 1234"), False, id="a session that is not there"),
        pytest.param(BadRequest("", said="base_model is required"), False, id="a field of both forms"),
        pytest.param(BadRequest("", said="Bad Request"), False, id="nothing in particular"),
        pytest.param(BadRequest("", said=""), False, id="nothing at all"),
        pytest.param(
            BadRequest("", said="Give session_id and model_seq_id for a new run, or model_id and seq_id for another."),
            False,
            id="a service that knows both forms",
        ),
        pytest.param(NotFound("", said="model_id is required"), False, id="another status"),
        pytest.param(ServerFault("", said="KeyError: model_id missing"), False, id="a crash"),
    ],
)
def test_only_words_about_the_form_mean_that_the_form_is_missing(refusal: StatusError, form_is_missing: bool) -> None:
    assert lacks_create_form(refusal) is form_is_missing


def test_a_path_that_a_service_listed_may_have_a_middle_part_of_its_own() -> None:
    path = TinkerPath.listed("tinker://r/training/step-3")
    assert (path.training_run_id, path.kind.value, path.name) == ("r", "training", "step-3")
    assert str(path) == "tinker://r/training/step-3"
    assert TinkerPath.listed("tinker://r/weights/a").kind is CheckpointKind.WEIGHTS


def test_a_path_that_a_person_wrote_may_not() -> None:
    with pytest.raises(InvalidTinkerPath, match="'training' in the middle"):
        TinkerPath.parse("tinker://r/training/step-3")


@pytest.mark.parametrize(
    "text", ["tinker://r/a", "tinker://r//a", "tinker://r/../a", "tinker://r/a?b/c", "r/weights/a"]
)
def test_no_listed_path_can_reach_another_resource(text: str) -> None:
    with pytest.raises(InvalidTinkerPath):
        TinkerPath.listed(text)


def row(number: int) -> dict[str, Any]:
    return {"checkpoint_id": f"weights/{number}", "tinker_path": f"tinker://r/weights/{number}"}


def service(
    rows: int, size: int | None, cursor: Callable[[int, int], Any]
) -> Callable[[httpx.Request], httpx.Response]:
    """Give `rows` checkpoints in pages of `size`, or whole whatever the offset, with a cursor made from both."""

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", 0)) if size else 0
        given = [row(number) for number in range(rows)][offset : offset + (size or rows)]
        told = cursor(offset, size or rows)
        return httpx.Response(200, json={"checkpoints": given} | ({} if told is None else {"cursor": told}))

    return answer


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20, 45])
@pytest.mark.parametrize("size", [None, 10, 20])
@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(lambda _offset, _limit: None, id="no cursor"),
        pytest.param(lambda offset, limit: {"offset": offset, "limit": limit, "total_count": 0}, id="a count of 0"),
        pytest.param(lambda offset, _: {"offset": offset, "total_count": 0}, id="a count of 0 and no limit"),
    ],
)
async def test_checkpoints_are_listed_whole_or_not_at_all(
    connect: Connect, rows: int, size: int | None, cursor: Callable[[int, int], Any]
) -> None:
    """A part that passes for the whole would hide the newest checkpoint from a recovery."""
    client = connect(service(rows, size, cursor))
    try:
        found = await client.checkpoints("r")
    except IncompleteListing:
        # Everything came at once under a limit of as many rows: that there is no second page cannot be told.
        assert size is None
        assert rows
        return
    assert [one.checkpoint_id for one in found] == [f"weights/{number}" for number in range(rows)]


@pytest.mark.parametrize(
    ("status", "body", "lesson"),
    [
        pytest.param(404, {"detail": "Not Found"}, Support.UNKNOWN, id="bare words may mean the checkpoint"),
        pytest.param(404, {"detail": "Checkpoint x not found"}, Support.SUPPORTED, id="words about it mean a call"),
        pytest.param(405, {"detail": "Method Not Allowed"}, Support.MISSING, id="405 means no call"),
        pytest.param(500, {"detail": "oops"}, Support.UNKNOWN, id="a crash means nothing"),
        pytest.param(401, {"detail": "key"}, Support.UNKNOWN, id="a refused key means nothing"),
    ],
)
async def test_a_refused_deletion_teaches_no_more_than_it_says(
    connect: Connect, status: int, body: dict[str, str], lesson: Support
) -> None:
    client = connect(lambda _: httpx.Response(status, json=body))
    with pytest.raises(TinkerError):
        await client.delete_checkpoint(TinkerPath.parse("tinker://r/weights/a"))
    assert client.known_capabilities.delete is lesson


async def test_a_list_that_is_not_there_is_known_at_once_and_one_that_worked_stays(connect: Connect) -> None:
    bare = {"detail": "Not Found"}
    answers = iter([httpx.Response(404, json=bare), httpx.Response(200, json={"training_runs": []})])
    client = connect(lambda _: next(answers, httpx.Response(404, json=bare)))
    learned = []
    for _ in range(3):
        with suppress(RouteMissing):
            assert await client.training_runs() == ()
        learned.append(client.known_capabilities.list_runs)
    assert learned == [Support.MISSING, Support.SUPPORTED, Support.SUPPORTED]


class Older:
    """A service of the older form that dedupes, and whose first load is lost on the way."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.loaded: list[tuple[str, int]] = []
        self.lose = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        match request.url.path.rpartition("/")[2]:
            case "load_weights" if "model_id" not in asked:
                return httpx.Response(400, json={"detail": "model_id is required"})
            case "weights_info":
                return httpx.Response(200, json={"base_model": "Q", "is_lora": True, "lora_rank": 4})
            case "create_model":
                self.made = sorted({*self.made, asked["model_seq_id"]})
                return httpx.Response(200, json={"request_id": f"m{asked['model_seq_id']}"})
            case "load_weights" if self.lose:
                self.lose = False
                return httpx.Response(401, json={"detail": "this very moment"})
            case "load_weights":
                self.loaded.append((asked["model_id"], asked["seq_id"]))
                return httpx.Response(200, json={"request_id": "load"})
            case _:
                return httpx.Response(200, json={"model_id": f"m{self.made[0]}", "path": None})


async def test_a_restore_that_was_cut_between_its_calls_goes_on_with_the_same_run(connect: Connect) -> None:
    """The blank run is never given out before its load is done, and no second one is made."""
    service = Older()
    asked: dict[str, Any] = {
        "session_id": "s",
        "model_seq_id": 2,
        "path": TinkerPath.parse("tinker://r/weights/a"),
        "optimizer": True,
        "wait_seconds": 5,
    }
    with pytest.raises(Unauthorized):
        await connect(service).restore_run(**asked)
    assert await connect(service).restore_run(**asked) == f"m{BLANK_NUMBERS + 2}"
    assert service.made == [BLANK_NUMBERS + 2]
    assert service.loaded == [(f"m{BLANK_NUMBERS + 2}", 1)]


async def test_a_checkpoint_whose_rank_is_not_told_is_refused_and_nothing_is_made(connect: Connect) -> None:
    service = Older()

    def untold(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("weights_info"):
            return httpx.Response(200, json={"base_model": "Q", "is_lora": True})
        return service(request)

    with pytest.raises(CallNotPossible, match="LoRA rank"):
        await connect(untold).restore_run(
            session_id="s",
            model_seq_id=0,
            path=TinkerPath.parse("tinker://r/weights/a"),
            optimizer=True,
            wait_seconds=5,
        )
    assert service.made == []


async def test_a_service_that_answers_no_options_is_not_said_to_lack_anything(connect: Connect) -> None:
    """Some answer 404 to every OPTIONS: the list that is there shows it, and nothing is concluded."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "OPTIONS":
            return httpx.Response(404, json={"detail": "Not Found"})
        return httpx.Response(200, json={"training_runs": [], "checkpoints": [], "sessions": []})

    client = connect(answer)
    known = await client.capabilities()
    assert (known.list_runs, known.delete, known.ttl) == (Support.SUPPORTED, Support.UNKNOWN, Support.UNKNOWN)


async def test_capabilities_are_asked_for_once_with_nothing_that_changes_anything(connect: Connect) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.method == "OPTIONS":
            return httpx.Response(405, headers={"Allow": "GET, DELETE, POST, PUT"}, json={"detail": "no"})
        return httpx.Response(200, json={"training_runs": []})

    client = connect(answer)
    first = await client.capabilities()
    sent = len(asked)
    assert await client.capabilities() == first
    assert len(asked) == sent
    assert {request.method for request in asked} == {"GET", "OPTIONS", "POST"}
    assert [request.url.path for request in asked if request.method == "POST"] == [
        "/services/prod/api/v1/client/config"
    ]
    assert (first.delete, first.create_form_load) == (Support.SUPPORTED, Support.UNKNOWN)


async def test_a_failure_that_is_told_by_its_type_keeps_its_cause(connect: Connect, script: Callable[..., Any]) -> None:
    failed = {"type": "request_failed", "message": "The file is truncated", "category": "user"}
    with pytest.raises(FutureFailed, match="The file is truncated"):
        await connect(script({"request_id": "q"}, failed)).load_weights(
            session_id="s",
            model_seq_id=0,
            path=TinkerPath.parse("tinker://r/weights/a"),
            optimizer=True,
            wait_seconds=5,
        )


def test_a_result_with_a_message_is_no_failure() -> None:
    assert FutureAnswer.model_validate({"type": "load_weights", "message": "done"}).error is None
