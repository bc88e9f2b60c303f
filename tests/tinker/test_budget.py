"""What the budget lets out, what it holds back, and what it never hides; against a service that is one function."""

import asyncio
import selectors
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.tinker.conftest import FakeTime, Script, until

from tinker_operator.api.reasons import Reason
from tinker_operator.controllers.translate import fault_of
from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.budget import BreakerTerms, Budget, BudgetTerms, Lane, Outcome, asked_in
from tinker_operator.tinker.errors import HeldBack, NotFound, TinkerError, Unauthorized

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]
ONCE = RetryPolicy(max_attempts=1, total_seconds=10)
FAILURES = 10
ADDRESS = "https://tinker.test"
RUNS = {"training_runs": [], "cursor": {"offset": 0, "limit": 100, "total_count": 0}}
SOUND = httpx.Response(200, json={"status": "ok"})


class Noted:
    """What a budget told."""

    def __init__(self) -> None:
        self.ends: list[tuple[Lane, Outcome]] = []
        self.waits: list[tuple[Lane, float]] = []

    def waited(self, lane: Lane, seconds: float) -> None:
        self.waits.append((lane, seconds))

    def ended(self, lane: Lane, outcome: Outcome) -> None:
        self.ends.append((lane, outcome))


def budget(time: FakeTime, watch: Noted | None = None, **terms: Any) -> Budget:
    return Budget(BudgetTerms(breaker=BreakerTerms(lasting_seconds=0), **terms), time.keeper(), watch)


def answer(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"detail": "so it is"}, headers=headers)


async def fail(client: TinkerClient, times: int) -> None:
    for _ in range(times):
        with pytest.raises(TinkerError):
            await client.healthz()


BROKEN: dict[str, tuple[Any, Reason]] = {
    "a 500": (answer(500), Reason.SERVER_FAULT),
    "a 503 without a time": (answer(503), Reason.SERVER_FAULT),
    "no connection": (httpx.ConnectError("refused"), Reason.SERVICE_UNREACHABLE),
    "silence": (httpx.ReadTimeout("silent"), Reason.SERVICE_TIMEOUT),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_after_many_failures_nothing_is_sent_and_the_trouble_keeps_its_reason(
    connect: Connect, script: Callable[..., Script], time: FakeTime, name: str
) -> None:
    """At once, transient, with the time of the next try, and as no answer: nobody may conclude anything from it."""
    outcome, reason = BROKEN[name]
    service, noted = script(outcome), Noted()
    client = connect(service, retry=ONCE, budget=budget(time, noted))
    await fail(client, FAILURES)
    with pytest.raises(HeldBack) as held:
        await client.healthz()
    fault = fault_of(held.value)

    assert len(service.asked) == FAILURES
    assert time.slept == []
    assert (fault.reason, fault.needs_user, fault.retry_after) == (reason, False, 5.0)
    assert noted.ends == [(Lane.ACT, Outcome.FAILED)] * FAILURES + [(Lane.ACT, Outcome.HELD_BACK)]


async def test_what_is_held_back_is_not_repeated(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """The caller's own repetitions would only wait."""
    client = connect(script(answer(500)), retry=ONCE, budget=budget(time))
    await fail(client, FAILURES)
    patient = connect(script(SOUND), budget=client._transport.budget)
    with pytest.raises(HeldBack):
        await patient.healthz()
    assert time.slept == []


async def test_a_look_goes_through_and_its_answer_lets_all_calls_out_again(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    service = script(*[answer(500)] * (FAILURES + 1), RUNS, {"status": "ok"})
    client = connect(service, retry=ONCE, budget=budget(time))
    await fail(client, FAILURES)
    with asked_in(Lane.LOOK), pytest.raises(TinkerError, match="500"):
        await client.training_runs()
    with pytest.raises(HeldBack):
        await client.healthz()
    with asked_in(Lane.LOOK):
        assert await client.training_runs() == ()
    assert await client.healthz() == "ok"


async def test_heartbeats_go_through_and_never_lengthen_the_pause(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """A session must not die because calls of others fail."""
    service = script(answer(500))
    client = connect(service, retry=ONCE, budget=budget(time))
    await fail(client, FAILURES)
    with asked_in(Lane.BEAT):
        await fail(client, 3 * FAILURES)
    with pytest.raises(HeldBack) as held:
        await client.healthz()
    assert len(service.asked) == 4 * FAILURES
    assert held.value.next_try == 5.0


async def test_after_the_pause_one_call_is_the_probe(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    client = connect(script(*[answer(500)] * FAILURES, SOUND), retry=ONCE, budget=budget(time))
    await fail(client, FAILURES)
    time.now += 5
    assert await client.healthz() == "ok"
    assert await client.healthz() == "ok"


async def test_a_probe_that_is_cancelled_leaves_its_place_to_another(connect: Connect, time: FakeTime) -> None:
    begun = asyncio.Event()
    hanging = False

    async def service(_: httpx.Request) -> httpx.Response:
        if hanging:
            begun.set()
            await asyncio.Event().wait()
        return answer(500)

    client = connect(service, retry=ONCE, budget=budget(time))
    await fail(client, FAILURES)
    time.now, hanging = time.now + 5, True
    probe = asyncio.create_task(client.healthz())
    await begun.wait()
    with pytest.raises(HeldBack):
        await client.healthz()
    probe.cancel()
    with suppress(asyncio.CancelledError):
        await probe
    hanging = False
    with pytest.raises(TinkerError, match="500"):
        await client.healthz()


PERMANENT = {"400": 400, "401": 401, "402": 402, "403": 403, "404": 404, "409": 409, "429": 429}


@pytest.mark.parametrize("name", PERMANENT)
async def test_a_refusal_is_an_answer_and_never_held_back(
    connect: Connect, script: Callable[..., Script], time: FakeTime, name: str
) -> None:
    """It is told each time, however often, and it ends a series of failures."""
    status = PERMANENT[name]
    refusals, failures = [answer(status)] * 30, [answer(500)] * (FAILURES - 1)
    service = script(*failures, *refusals, *failures, *refusals[:1])
    client = connect(service, retry=ONCE, budget=budget(time))
    await fail(client, 2 * len(failures) + len(refusals) + 1)
    assert len(service.asked) == 2 * len(failures) + len(refusals) + 1


async def test_a_wrong_key_is_told_although_calls_are_held_back(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    client = connect(script(*[answer(500)] * FAILURES, answer(401)), retry=ONCE, budget=budget(time))
    await fail(client, FAILURES)
    with asked_in(Lane.LOOK), pytest.raises(Unauthorized):
        await client.training_runs()


async def test_a_poll_that_the_service_may_hold_open_is_no_failure_when_it_takes_too_long(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """A load that takes minutes is a service at work; a heartbeat has a short time of its own."""
    client = connect(script(httpx.ReadTimeout("held")), retry=ONCE, budget=budget(time))
    for _ in range(3 * FAILURES):
        with pytest.raises(TinkerError, match="in time"):
            await client.heartbeat("session")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", Lane)
async def test_a_pause_that_the_service_asks_for_is_kept_by_every_call_and_by_beats_if_one_was_asked(
    connect: Connect, script: Callable[..., Script], time: FakeTime, status: int, asked: Lane
) -> None:
    """In each lane: another call than the one that was told waits as long, and is sent then."""
    for lane in Lane:
        service = script(answer(status, **{"retry-after": "7"}), SOUND)
        client = connect(service, retry=ONCE, budget=budget(time))
        with asked_in(asked):
            await fail(client, 1)
        asked_at = time.now
        with asked_in(lane):
            assert await client.healthz() == "ok"
        if lane is Lane.BEAT and asked is not Lane.BEAT:
            assert time.now == asked_at
        else:
            assert 7 <= time.now - asked_at <= 7.5


async def test_listings_that_are_asked_to_wait_for_minutes_delay_no_beat(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """Each new call of a crowd is refused in its turn; a session must not be ended because of that."""
    refusal = answer(429, **{"retry-after": "59"})
    client = connect(script(*[refusal, SOUND] * 5), retry=ONCE, budget=budget(time))
    for _ in range(5):
        with asked_in(Lane.BULK):
            await fail(client, 1)
        with asked_in(Lane.BEAT):
            assert await client.healthz() == "ok"
        assert time.slept == []
        time.now += 60


async def test_a_pause_that_outlasts_the_call_is_told_at_once_and_is_not_for_ever(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """A service that says an hour is asked again after a minute: sessions have to be kept alive."""
    service = script(answer(429, **{"retry-after": "3600"}), SOUND)
    client = connect(service, retry=ONCE, budget=budget(time))
    await fail(client, 1)
    with pytest.raises(HeldBack) as held:
        await client.healthz()
    fault = fault_of(held.value)

    assert (len(service.asked), time.slept) == (1, [])
    assert (fault.reason, fault.needs_user, fault.retry_after) == (Reason.RATE_LIMITED, False, 60.0)
    time.now += 60
    assert await client.healthz() == "ok"


async def test_a_503_holds_nobody_back_from_what_is_not_there(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """What cannot be asked is never taken for missing: it is no answer of any status."""
    client = connect(script(answer(503, **{"retry-after": "50"})), retry=ONCE, budget=budget(time))
    await fail(client, 1)
    with pytest.raises(HeldBack) as held:
        await client.get_training_run("run")
    assert not isinstance(held.value, NotFound)


async def test_bulk_that_hangs_leaves_room_for_every_other_lane(connect: Connect, time: FakeTime) -> None:
    """However many wait in it, and no more of them at once than there is room."""
    hung: list[httpx.Request] = []

    async def service(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/checkpoints"):
            hung.append(request)
            await asyncio.Event().wait()
        return httpx.Response(200, json={"status": "ok"})

    client = connect(service, budget=budget(time))
    with asked_in(Lane.BULK):
        bulk = [asyncio.create_task(client.checkpoints(f"run-{number}")) for number in range(100)]
    await until(lambda: len(hung) == BudgetTerms().room[Lane.BULK])
    for lane in (Lane.LOOK, Lane.ACT, Lane.BEAT):
        with asked_in(lane):
            assert await client.healthz() == "ok"
    assert len(hung) == BudgetTerms().room[Lane.BULK]
    for task in bulk:
        task.cancel()
    await asyncio.gather(*bulk, return_exceptions=True)


async def test_what_is_judged_in_a_reserved_place_is_done_at_once_or_not_at_all(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """Neither for room, which its own first call takes, nor for a pause: it is held back instead of done late."""
    service = script(SOUND, SOUND, answer(429, **{"retry-after": "2"}), SOUND)
    client = connect(service, retry=ONCE, budget=budget(time, room={**BudgetTerms().room, Lane.ACT: 1}))
    async with client.reserved():
        assert [await client.healthz(), await client.healthz()] == ["ok", "ok"]
        await fail(client, 1)
        with pytest.raises(HeldBack):
            await client.healthz()
    assert time.slept == []
    assert await client.healthz() == "ok", "and others wait as ever"
    assert len(time.slept) == 1


async def test_a_place_is_waited_for_before_the_judgement(connect: Connect, time: FakeTime) -> None:
    """Not between it and the deed."""
    leave, order = asyncio.Event(), list[str]()

    async def service(_: httpx.Request) -> httpx.Response:
        order.append("sent")
        await leave.wait()
        return httpx.Response(200, json={"status": "ok"})

    client = connect(service, budget=budget(time, room={**BudgetTerms().room, Lane.ACT: 1}))

    async def judged() -> None:
        async with client.reserved():
            order.append("judged")
            await client.healthz()

    first = asyncio.create_task(client.healthz())
    await until(lambda: order)
    second = asyncio.create_task(judged())
    for _ in range(10):
        await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(first, second)
    assert order == ["sent", "judged", "sent"]


class Sleepless(selectors.SelectSelector):
    """Time of an event loop that passes only while nobody has anything to do, and then at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0.0)


def sleepless_loop() -> asyncio.AbstractEventLoop:
    """Returns an event loop with such a time."""
    selector = Sleepless()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    return loop


def test_the_pace_is_kept_in_the_long_run_and_heartbeats_do_not_wait_for_it(time: FakeTime) -> None:
    """Two seconds' worth may go at once, then the pace holds; bulk leaves a quarter of it to the others."""
    noted = Noted()

    async def seconds(client: TinkerClient, lane: Lane, calls: int) -> float:
        began = asyncio.get_running_loop().time()
        with asked_in(lane):
            await asyncio.gather(*(client.healthz() for _ in range(calls)))
        return asyncio.get_running_loop().time() - began

    async def spent() -> dict[str, float]:
        paced = budget(time, noted, calls_per_second=100)
        carrier = httpx.MockTransport(lambda _: SOUND)
        async with TinkerClient(ADDRESS, SecretStr("tml-of-tests"), carrier=carrier, budget=paced) as client:
            return {
                "more bulk than its share": await seconds(client, Lane.BULK, 165),
                "what bulk left": await seconds(client, Lane.ACT, 55),
                "more than is left": await seconds(client, Lane.ACT, 36),
                "a beat": await seconds(client, Lane.BEAT, 1),
            }

    with asyncio.Runner(loop_factory=sleepless_loop) as runner:
        took = runner.run(spent())
    assert took == {
        "more bulk than its share": pytest.approx(15 / 75, abs=0.02),
        "what bulk left": pytest.approx(0, abs=0.02),
        "more than is left": pytest.approx(0.36, abs=0.02),
        "a beat": 0,
    }
    assert [lane for lane, _ in noted.waits] == [Lane.BULK] * 165 + [Lane.ACT] * 91 + [Lane.BEAT]


def test_a_crowd_that_waits_for_the_pace_does_not_slow_a_look_down(time: FakeTime) -> None:
    """The lanes take turns: a look, page after page, has half of the pace beside any number of rounds."""

    async def looked(client: TinkerClient, pages: int) -> float:
        began = asyncio.get_running_loop().time()
        with asked_in(Lane.LOOK):
            for _ in range(pages):
                await client.healthz()
        return asyncio.get_running_loop().time() - began

    async def spent() -> float:
        carrier = httpx.MockTransport(lambda _: SOUND)
        paced = budget(time, calls_per_second=100)
        async with TinkerClient(ADDRESS, SecretStr("tml-of-tests"), carrier=carrier, budget=paced) as client:
            await asyncio.gather(*(client.healthz() for _ in range(200)))  # the burst
            crowd = asyncio.gather(*(client.healthz() for _ in range(200)))
            took = await looked(client, 50)
            assert not crowd.done()
            await crowd
            return took

    with asyncio.Runner(loop_factory=sleepless_loop) as runner:
        assert runner.run(spent()) == pytest.approx(1.0, abs=0.1)


async def test_an_error_that_is_remembered_is_not_kept(
    connect: Connect, script: Callable[..., Script], time: FakeTime
) -> None:
    """Its frames hold the key."""
    spent = budget(time)
    client = connect(script(answer(500)), retry=ONCE, budget=spent)
    await fail(client, FAILURES)
    assert not [value for value in vars(spent).values() if isinstance(value, BaseException)]
