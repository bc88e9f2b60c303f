"""Reading what services say: tolerant where it is harmless, strict where a wrong reading causes a wrong act."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tinker_operator.tinker.models import (
    Checkpoint,
    CheckpointType,
    LoraConfig,
    ModelInfoAnswer,
    ServerCapabilities,
    TrainingRun,
    WeightsInfo,
)

pytestmark = pytest.mark.pure

CHECKPOINT: dict[str, Any] = {
    "checkpoint_id": "weights/a",
    "checkpoint_type": "training",
    "time": "2026-01-02T03:04:05Z",
    "tinker_path": "tinker://r/weights/a",
}
RUN: dict[str, Any] = {"training_run_id": "s:train:0", "base_model": "Qwen/Qwen3-8B", "is_lora": True}
MODELS: list[tuple[type[BaseModel], dict[str, Any]]] = [(Checkpoint, CHECKPOINT), (TrainingRun, RUN)]


def read(model: type[BaseModel], body: dict[str, Any], **changes: Any) -> Any:
    return model.model_validate_json(json.dumps(body | changes))


@pytest.mark.parametrize(
    ("model", "body", "field", "wire", "value"),
    [
        (Checkpoint, CHECKPOINT, "time", "2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (Checkpoint, CHECKPOINT, "time", "2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        (Checkpoint, CHECKPOINT, "time", None, None),
        (Checkpoint, CHECKPOINT, "checkpoint_type", "sampler", CheckpointType.SAMPLER),
        (Checkpoint, CHECKPOINT, "checkpoint_type", "hologram", CheckpointType.UNKNOWN),
        (Checkpoint, CHECKPOINT, "checkpoint_type", None, CheckpointType.UNKNOWN),
        (Checkpoint, CHECKPOINT, "size_bytes", 0, 0),
        (Checkpoint, CHECKPOINT, "size_bytes", None, None),
        (Checkpoint, CHECKPOINT, "user_metadata", None, {}),
        (Checkpoint, CHECKPOINT, "user_metadata", {"a": "1", "b": 2, "c": None}, {"a": "1", "b": "2", "c": "null"}),
        (Checkpoint, CHECKPOINT, "expires_at", None, None),
        (TrainingRun, RUN, "corrupted", True, True),
        (TrainingRun, RUN, "corrupted", False, False),
        (TrainingRun, RUN, "last_checkpoint", None, None),
        (TrainingRun, RUN, "user_metadata", None, {}),
        (TrainingRun, RUN, "lora_rank", None, None),
        (TrainingRun, RUN, "last_request_time", None, None),
    ],
)
def test_a_harmless_deviation_is_read(
    model: type[BaseModel], body: dict[str, Any], field: str, wire: Any, value: Any
) -> None:
    assert getattr(read(model, body, **{field: wire}), field) == value


@pytest.mark.parametrize(("model", "body"), MODELS)
def test_unknown_fields_are_ignored_and_absent_optional_ones_have_defaults(
    model: type[BaseModel], body: dict[str, Any]
) -> None:
    assert read(model, body, a_field_of_tomorrow={"x": 1}) == read(model, body)


@pytest.mark.parametrize("value", [None, "true", "false", 1, 0, [], {}])
def test_corrupted_is_a_json_boolean_or_the_answer_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        read(TrainingRun, RUN, corrupted=value)


def test_an_absent_corrupted_is_false() -> None:
    assert read(TrainingRun, RUN).corrupted is False


@pytest.mark.parametrize(
    ("model", "body", "field", "wire"),
    [
        (TrainingRun, RUN, "training_run_id", ""),
        (TrainingRun, RUN, "training_run_id", 7),
        (TrainingRun, RUN, "training_run_id", None),
        (TrainingRun, RUN, "base_model", None),
        (TrainingRun, RUN, "is_lora", "yes"),
        (TrainingRun, RUN, "lora_rank", "32"),
        (TrainingRun, RUN, "lora_rank", 10**30),
        (TrainingRun, RUN, "user_metadata", ["owner"]),
        (TrainingRun, RUN, "user_metadata", "owner"),
        (TrainingRun, RUN, "last_checkpoint", {}),
        (TrainingRun, RUN, "last_checkpoint", "tinker://r/weights/a"),
        (TrainingRun, RUN, "last_request_time", "yesterday"),
        (Checkpoint, CHECKPOINT, "size_bytes", -1),
        (Checkpoint, CHECKPOINT, "size_bytes", 2**63),
        (Checkpoint, CHECKPOINT, "size_bytes", 1.5),
        (Checkpoint, CHECKPOINT, "public", "no"),
        (Checkpoint, CHECKPOINT, "checkpoint_type", 3),
        (Checkpoint, CHECKPOINT, "time", "0001-01-01T00:00:00+14:00"),
        (Checkpoint, CHECKPOINT, "tinker_path", None),
    ],
)
def test_a_field_of_another_type_than_the_wires_is_refused(
    model: type[BaseModel], body: dict[str, Any], field: str, wire: Any
) -> None:
    with pytest.raises(ValidationError):
        read(model, body, **{field: wire})


@pytest.mark.parametrize(
    ("answer", "base_model"),
    [
        pytest.param({"model_data": {"model_name": "Q"}}, "Q", id="the official place"),
        pytest.param({"model_data": {"arch": "x"}, "model_name": "Q"}, "Q", id="the outer place"),
        pytest.param({"model_data": {"model_name": "Q"}, "model_name": "mine"}, "Q", id="both: the official one"),
        pytest.param({}, None, id="nowhere"),
    ],
)
def test_the_base_model_of_a_live_model_is_found_where_services_put_it(
    answer: dict[str, Any], base_model: str | None
) -> None:
    assert read(ModelInfoAnswer, {"model_id": "m"}, **answer).read().base_model == base_model


@pytest.mark.parametrize("rank", [0, -1, 2**63, True, "8"])
def test_a_lora_rank_that_is_no_rank_is_refused(rank: Any) -> None:
    with pytest.raises(ValidationError):
        LoraConfig(rank=rank)


def test_what_a_service_does_not_say_is_none() -> None:
    info = read(WeightsInfo, {"base_model": "Q", "is_lora": False})
    assert (info.lora_rank, info.train_mlp) == (None, None)
    assert read(ServerCapabilities, {"supported_models": [{}]}).supported_models[0].trainable is None


def test_what_was_read_cannot_be_changed() -> None:
    run = read(TrainingRun, RUN)
    with pytest.raises(ValidationError):
        run.corrupted = True
