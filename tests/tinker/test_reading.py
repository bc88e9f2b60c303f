"""A page that comes again is not read again, and a listing says the same as if all were."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinker_operator.tinker import TinkerClient, calls
from tinker_operator.tinker.errors import InvalidResponse
from tinker_operator.tinker.faults import Answer
from tinker_operator.tinker.listing import Page
from tinker_operator.tinker.models import TrainingRun, TrainingRunPage
from tinker_operator.tinker.reading import RunReading

pytestmark = pytest.mark.pure

Connect = Callable[..., TinkerClient]


def body_of(runs: Sequence[tuple[int, bool]]) -> bytes:
    rows = [{"training_run_id": f"r{at}", "base_model": "Q", "is_lora": True, "corrupted": bad} for at, bad in runs]
    return json.dumps({"training_runs": rows, "cursor": {"total_count": 9}}).encode()


class Reader:
    """A reading that counts the runs that it reads."""

    def __init__(self) -> None:
        self.read = 0
        self.reading = RunReading(self._form, lambda form: form[0])

    def _form(self, run: TrainingRun) -> tuple[str, bool]:
        self.read += 1
        return run.training_run_id, run.corrupted

    def listed(self, bodies: Sequence[bytes]) -> list[Page[tuple[str, bool]]]:
        self.reading.begin()
        answers = [Answer(calls.training_runs(0, 100, "owned", None), 200, httpx.Headers(), body) for body in bodies]
        return [self.reading.page(answer, parsed) for answer in answers]


def parsed(answer: Answer) -> TrainingRunPage:
    return TrainingRunPage.model_validate_json(answer.body)


PAGES = st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=3), max_size=4)


@given(listings=st.lists(PAGES, max_size=5))
def test_one_reading_for_all_listings_says_what_a_new_one_for_each_says(
    listings: list[list[list[tuple[int, bool]]]],
) -> None:
    kept = Reader()
    for pages in listings:
        bodies = [body_of(page) for page in pages]
        assert kept.listed(bodies) == Reader().listed(bodies)


def test_only_a_page_that_is_another_one_is_read() -> None:
    reader, calm, moved = Reader(), body_of([(1, False), (2, False)]), body_of([(3, True)])
    before = reader.listed([calm, body_of([(3, False)])])
    after = reader.listed([calm, moved])
    assert reader.read == 4
    assert after[0] is before[0]
    assert after[1].rows == (("r3", True),)


def test_a_page_is_kept_for_one_listing_and_no_longer() -> None:
    reader, page = Reader(), body_of([(1, False)])
    for bodies in ([page], [], [page]):
        reader.listed(bodies)
    assert reader.read == 2


def test_a_page_that_cannot_be_read_is_no_page_the_next_time_either() -> None:
    reader = Reader()
    for _ in range(2):
        with pytest.raises(ValueError, match="training_run_id"):
            reader.listed([b'{"training_runs": [{}]}'])


async def test_a_client_reads_the_pages_of_the_next_listing_that_moved(connect: Connect) -> None:
    runs = [{"training_run_id": f"r{at}", "base_model": "Q", "is_lora": True, "corrupted": False} for at in range(250)]

    def service(request: httpx.Request) -> httpx.Response:
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        cursor = {"offset": offset, "limit": limit, "total_count": len(runs)}
        return httpx.Response(200, json={"training_runs": runs[offset : offset + limit], "cursor": cursor})

    client, reader = connect(service), Reader()
    first = await client.training_runs_as(reader.reading)
    runs[120]["corrupted"] = True
    second = await client.training_runs_as(reader.reading)
    assert [at for at, (before, now) in enumerate(zip(first, second, strict=True)) if before != now] == [120]
    assert reader.read == 350


async def test_what_is_no_listing_is_named_each_time(connect: Connect, script: Callable[..., Any]) -> None:
    page = {"training_runs": [{"training_run_id": "r", "base_model": "Q", "is_lora": True, "corrupted": None}]}
    client, reader = connect(script(page, page)), Reader()
    for _ in range(2):
        with pytest.raises(InvalidResponse, match=r"training_runs\.0\.corrupted"):
            await client.training_runs_as(reader.reading)
