"""What training clients submit in a session, and under which numbers."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.live.service import BATCH, Enter, Service

from tinker_operator.tinker import (
    AdamParams,
    CallNotPossible,
    TinkerClient,
    errors,
)
from tinker_operator.tinker.dialects import Support
from tinker_operator.tinker.payload.tensors import packed
from tinker_operator.tinker.proto import tinker_public_pb2 as wire

pytestmark = pytest.mark.pure


async def test_a_batch_is_sent_in_the_portions_that_the_service_wants(enter: Enter, service: Service) -> None:
    service.answers["client/config"] = [{"fwdbwd_max_chunk_len": 2}]
    service.answers["forward_backward"] = [{"request_id": name} for name in ("a", "b", "c")]
    result = wire.ForwardBackwardOutput(
        loss_fn_outputs=[
            wire.ArrayRecord(
                num_datums=1,
                fields={
                    "logprobs": wire.BatchedTensor(data=bytes(4), offsets=packed("q", [0, 4]), dtype=wire.DTYPE_FLOAT32)
                },
            )
        ],
        metrics={"loss:sum": 2.0},
    )
    content = httpx.Response(
        200, headers={"Content-Type": "application/x-protobuf"}, content=result.SerializeToString()
    )
    async with enter() as client:
        training = await client.create_training_client("Q")
        service.answers["retrieve_future"] = [content]
        pending = await training.forward_backward(BATCH, "cross_entropy", {"a": 1.0})
        step = await training.optim_step(AdamParams())
        output = await pending
        assert await pending is output
        assert step.request_ids == ("stepped",)
    requests = service.bodies("forward_backward")
    assert [(request.seq_id, len(request.data)) for request in requests] == [(1, 2), (2, 2), (3, 1)]
    assert service.bodies("optim_step")[0]["seq_id"] == 4
    assert pending.request_ids == ("a", "b", "c")
    assert (output.metrics, len(output.loss_fn_outputs)) == ({"loss:sum": 6.0}, 3)
    polls = [body["request_id"] for body in service.bodies("retrieve_future")][1:]
    assert polls == ["a", "b", "c"]


async def test_an_empty_batch_is_refused_and_uses_no_number(enter: Enter, service: Service) -> None:
    async with enter() as client:
        training = await client.create_training_client("Q")
        with pytest.raises(CallNotPossible, match="empty"):
            await training.forward_backward([], "cross_entropy")
        await training.optim_step(AdamParams())
    assert service.bodies("optim_step")[0]["seq_id"] == 1


async def test_a_result_of_another_form_is_not_trusted(enter: Enter) -> None:
    async with enter() as client:
        training = await client.create_training_client("Q")
        pending = await training.forward(BATCH, "cross_entropy")
        with pytest.raises(errors.InvalidResponse):
            await pending


async def test_a_snapshot_that_is_sent_again_keeps_both_of_its_numbers(enter: Enter, service: Service) -> None:
    service.answers["save_weights_for_sampler"] = [httpx.Response(502), {"request_id": "saved"}]
    async with enter() as client:
        training = await client.create_training_client("Q")
        with pytest.raises(errors.ServerFault):
            await training.save_weights_and_get_sampling_client()
        await training.save_weights_and_get_sampling_client()
        await training.save_weights_and_get_sampling_client()
    sent = [(body["seq_id"], body["sampling_session_seq_id"]) for body in service.bodies("save_weights_for_sampler")]
    assert sent == [(1, 0), (1, 0), (2, 1)]


async def test_a_service_of_the_older_form_has_used_the_first_number_up(enter: Enter, service: Service) -> None:
    service.answers["load_weights"] = [
        httpx.Response(422, json={"detail": [{"loc": ["body", "model_id"], "msg": "Field required"}]}),
        {"request_id": "loaded"},
    ]
    service.answers["weights_info"] = [{"base_model": "Q", "is_lora": True, "lora_rank": 8}]
    async with enter() as client:
        training = await client.create_training_client_from_state("tinker://r/weights/n")
        await training.optim_step(AdamParams())
    assert [body.get("seq_id") for body in service.bodies("load_weights")] == [None, 1]
    assert service.bodies("optim_step")[0]["seq_id"] == 2


@pytest.mark.parametrize("adapter", [{"rank": 0}, {"rank": 2**64}, {"rank": "8"}, {"seed": "x"}])
async def test_an_adapter_that_cannot_be_is_refused(enter: Enter, service: Service, adapter: dict[str, Any]) -> None:
    async with enter() as client:
        with pytest.raises(CallNotPossible, match="adapter"):
            await client.create_training_client("Q", **adapter)
    assert service.routes == []


async def test_nothing_that_opens_another_accounts_weights_is_shown(enter: Enter, service: Service) -> None:
    token = SecretStr("rosebud")
    service.answers["load_weights"] = [httpx.Response(400, json={"detail": "token rosebud is not valid"})]
    async with enter() as client:
        with pytest.raises(errors.BadRequest) as refusal:
            await client.create_training_client_from_state("tinker://r/weights/n", weights_access_token=token)
    assert "rosebud" not in str(refusal.value)
    assert service.bodies("load_weights")[0]["weights_access_token"] == "rosebud"


async def test_whether_a_number_is_used_up_is_told_by_this_run_and_not_by_another(
    enter: Enter, service: Service
) -> None:
    """While a service changes over, a run is loaded in the older form and meanwhile another one in the newer."""
    older = httpx.Response(422, json={"detail": [{"loc": ["body", "model_id"], "msg": "Field required"}]})
    service.answers["load_weights"] = [older, {"request_id": "loaded"}]
    service.answers["weights_info"] = [{"base_model": "Q", "is_lora": True, "lora_rank": 8}]
    clients: list[TinkerClient] = []

    def changing(request: httpx.Request) -> httpx.Response:
        if b'"seq_id": 1,' in request.content:
            clients[0]._transport.known.learn("create_form_load", Support.SUPPORTED)
        return service(request)

    async with enter(carrier=httpx.MockTransport(changing)) as client:
        clients.append(client)
        training = await client.create_training_client_from_state("tinker://r/weights/n")
        assert client.known_capabilities.create_form_load is Support.SUPPORTED
        await training.optim_step(AdamParams())
    assert service.bodies("optim_step")[0]["seq_id"] == 2
