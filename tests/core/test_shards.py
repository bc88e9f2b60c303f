"""Shards: every object has one, the same everywhere, and few change theirs when there are more."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinker_operator.core.shards import MOST_SHARDS, WHOLE, Shard, shard_of

pytestmark = pytest.mark.pure

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
COUNTS = st.integers(min_value=1, max_value=MOST_SHARDS - 1)
MANY = [(f"team-{number % 7}", f"run-{number}") for number in range(6000)]


@given(namespace=NAMES, name=NAMES, count=COUNTS)
def test_every_object_has_exactly_one_shard(namespace: str, name: str, count: int) -> None:
    assert sum(Shard(index, count).owns(namespace, name) for index in range(count)) == 1


@given(namespace=NAMES, name=NAMES, count=COUNTS)
def test_one_shard_more_takes_an_object_or_leaves_it_where_it_was(namespace: str, name: str, count: int) -> None:
    before, after = (shard_of(namespace, name, n) for n in (count, count + 1))

    assert after in {before, count}


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
def test_shards_are_of_one_size_and_growth_moves_one_share(count: int) -> None:
    """Within what chance allows at six thousand objects."""
    shares = Counter(shard_of(*one, count) for one in MANY)
    moved = sum(shard_of(*one, count) != shard_of(*one, count + 1) for one in MANY)

    assert all(abs(shares[index] - len(MANY) / count) < 0.2 * len(MANY) / count for index in range(count))
    assert moved == pytest.approx(len(MANY) / (count + 1), rel=0.2)


def test_one_namespace_is_shared_out_and_names_of_two_namespaces_differ() -> None:
    names = [f"run-{number}" for number in range(300)]
    here, there = ([shard_of(namespace, name, 3) for name in names] for namespace in ("a", "b"))

    assert set(here) == {0, 1, 2}
    assert here != there


@pytest.mark.parametrize("seed", ["0", "1"])
def test_another_process_finds_the_same_shard(seed: str) -> None:
    """Python's own hash would not; and what is deployed already must not move with a release."""
    asked = "from tinker_operator.core.shards import shard_of as s; print([s('team', f'run-{n}', 7) for n in range(9)])"
    told = subprocess.run(
        [sys.executable, "-c", asked], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    ).stdout

    assert told.strip() == str([shard_of("team", f"run-{number}", 7) for number in range(9)])
    assert [shard_of("team", f"run-{number}", 7) for number in range(6)] == KNOWN


KNOWN = [3, 0, 5, 0, 6, 0]


@pytest.mark.parametrize(
    ("text", "pod", "shard"),
    [
        pytest.param("0/1", None, WHOLE, id="one shard is the whole"),
        pytest.param("2/3", None, Shard(2, 3), id="a number"),
        pytest.param("auto/3", "tinker-operator-1", Shard(1, 3), id="the number of the pod"),
        pytest.param("auto/3", "tinker-operator-4", Shard(1, 3), id="a second pod of a shard"),
        pytest.param("1/3", "tinker-operator-2", Shard(1, 3), id="a number goes before the pod"),
    ],
)
def test_a_shard_is_read(text: str, pod: str | None, shard: Shard) -> None:
    assert Shard.read(text, pod) == shard


@pytest.mark.parametrize("text", ["", "1", "3/3", "0/0", "-1/3", "1/x", "x/3", "auto/0", "auto/", "0/101", "1/3/5"])
@pytest.mark.parametrize("pod", ["operator-0"])
def test_what_is_no_shard_is_refused(text: str, pod: str) -> None:
    with pytest.raises(ValueError, match=r"shard|number|count"):
        Shard.read(text, pod)


@pytest.mark.parametrize("pod", [None, "", "operator", "operator-5f6d8-x7"])
def test_auto_needs_the_name_of_a_numbered_pod(pod: str | None) -> None:
    with pytest.raises(ValueError, match="POD_NAME"):
        Shard.read("auto/3", pod)
