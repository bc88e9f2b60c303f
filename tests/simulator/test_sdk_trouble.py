"""The official SDK, unmodified, meets every way of being kept waiting, turned away or failed."""

import pytest
from tests.simulator.bare import KEYS, Served
from tests.simulator.test_acceptance_training import Saw, run_script

pytestmark = pytest.mark.http


@pytest.fixture(scope="module")
def saw(tmp_path_factory: pytest.TempPathFactory) -> Saw:
    """What one journey through all trouble saw."""
    served = Served(tmp_path_factory.mktemp("trouble"))
    served.start()
    try:
        return run_script("trouble.py", served.url, KEYS[0])
    finally:
        served.close()


def test_the_sdk_complains_of_nothing_that_was_only_slow(saw: Saw) -> None:
    """Waiting, back-pressure, announcements and cancelling are silent; what failed was told as an error."""
    assert saw["complaints"] == []


SAME: dict[str, str] = {
    "chunks of a batch arrive in any order": "losses in chunks",
    "polls are answered 408 and results are announced by their size": "losses announced",
}


@pytest.mark.parametrize("what", SAME)
def test_training_goes_the_same_way_when(saw: Saw, what: str) -> None:
    """To the last digit of what a chunked sum can keep."""
    assert saw[SAME[what]] == pytest.approx(saw["losses"], rel=1e-6)
    assert saw["chunks"] == 4 * 3


def test_samples_that_were_pushed_back_lost_or_cancelled_are_drawn_in_the_end(saw: Saw) -> None:
    """The same as without any trouble."""
    drawn = [*saw["pushed back"], *saw["told of many"], saw["after a cancel"], saw["after a loss"]]

    assert drawn == [saw["sample"]] * len(drawn)
    assert len(drawn) == 15
    assert saw["asked for many"] >= 2
    assert saw["joined"] == 1


def test_an_error_arrives_as_the_sdks_own_with_its_category(saw: Saw) -> None:
    """A lost step is retryable, a failed one is not; a corrupted run fails the step and refuses what follows."""
    assert saw["failed"] == [f"RequestFailedError {category}" for category in ("user", "server", "unknown")]
    assert saw["lost step"] == "RetryableException"
    assert saw["corrupting"] == "RequestFailedError server"
    assert saw["corrupted"] == "BadRequestError"
