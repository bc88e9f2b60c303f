"""The bench, small: every program and every baseline does its work, and what is false is told. No time counts."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tests.bench import client, inspection, recovery, retention, scale, scale_baselines
from tests.bench.contest import OURS
from tests.bench.crowd import bursts, collection
from tests.bench.first_times import FirstTimes
from tests.bench.outcome import Outcome, Series, Untrue, quantile, ratio
from tests.bench.retention_world import Sizes, run_id_of
from tests.bench.scale_crowd import Crowd, told
from tests.bench.scale_crowd import Sizes as ScaleSizes

from playground.controlplane import ControlPlane

MIB = client.MIB
BOTH = (scale.MONITOR, OURS)
COSTS = {"wall_seconds", "cpu_seconds", "grown_bytes", "ready_cpu_seconds", "ready_bytes"}


def contenders(outcome: Outcome) -> set[tuple[str, str]]:
    return {(one.job, one.contender) for one in outcome.series}


def downloads(grown: Sequence[float]) -> list[Series]:
    return [
        Series("download 2,048 MiB", OURS, {"grown_bytes": grown}),
        Series("list 1 run", OURS, {"grown_bytes": [1e9]}),
    ]


def paths(found: Any) -> set[str]:
    """Returns what leads to each value: names of fields, and in the list of conditions their types."""
    if isinstance(found, list):
        named = {str(one["type"] if isinstance(one, dict) else number): one for number, one in enumerate(found)}
        return paths(named) or {"[]"}
    if not isinstance(found, dict):
        return {""}
    return {f"{name}/{path}" for name, value in found.items() for path in paths(value)}


def first_statuses(folder: Path, sizes: ScaleSizes, contender: Callable[[Crowd], object]) -> list[Any]:
    """Returns the first status of each TrainingRun that a contender wrote, in the order of their names."""
    first = dict[str, Any]()

    def noted(obj: Mapping[str, Any]) -> bool:
        return told(obj) and bool(first.setdefault(obj["metadata"]["name"], obj["status"]))

    with scale.stage_in(folder) as stage:
        crowd = scale.crowd_on(stage, sizes, random.Random(3))  # noqa: S311 - repeatable, no secret
        with FirstTimes(stage.kubectl, collection(stage.namespace), {"told": noted}) as watch:
            try:
                contender(crowd)
                watch.wait_for("told", list(crowd.runs), 60)
            finally:
                stage.operator.close()
    return [status for _, status in sorted(first.items())]


def started(crowd: Crowd) -> None:
    """Has the operator begin."""
    crowd.stage.operator.start()


@pytest.mark.http
def test_our_client_and_the_sdk_do_the_same_jobs_and_ours_keeps_its_memory() -> None:
    """Both list, get and download the same, or the program ends with Untrue."""
    sizes = client.Sizes(runs=120, gets=20, at_once=8, download_mib=8, repetitions=1, downloads=1)
    outcome = client.measure(sizes, seed=3)

    jobs = ["list 120 runs", "get 20 runs, one by one", "get 20 runs, 8 at once", "download 8 MiB"]
    both = {(job, name) for job in jobs for name in (OURS, client.SDK)}
    assert contenders(outcome) == both | {(jobs[-1], client.SDK_SAFE)}
    assert all(one.values.keys() == COSTS | {"requests"} for one in outcome.series)
    requests = {one.contender: median(one.values["requests"]) for one in outcome.of(jobs[1])}
    assert requests[OURS] == 21
    assert [claim.holds for claim in outcome.claims] == [True]


@pytest.mark.http
def test_the_inspection_and_numpy_find_the_same_values() -> None:
    """Every NaN and infinity that was planted, by tensor, in each type."""
    outcome = inspection.measure(16, 1, seed=3)

    assert contenders(outcome) == {
        (f"scan 16 MiB of {dtype}", name) for dtype in inspection.TYPES for name in (OURS, inspection.NUMPY)
    }
    assert all(one.values.keys() == COSTS for one in outcome.series)


@pytest.mark.http
def test_the_plans_and_a_script_let_the_same_checkpoints_go() -> None:
    """By one policy and by several, or the program ends with Untrue."""
    outcome = retention.measure(Sizes(policies=3, runs=9, checkpoints=8), 1, seed=3)

    jobs = [f"plan 72 checkpoints of 9 runs, {shared}" for shared in ("1 policy", "3 policies")]
    assert contenders(outcome) == {(job, name) for job in jobs for name in (OURS, retention.SCRIPT)}
    assert all(one.values.keys() == COSTS for one in outcome.series)


@pytest.mark.pure
def test_a_plan_that_is_wrong_is_no_measurement() -> None:
    """One checkpoint more is another set."""
    contest = retention.contest_of(Sizes(policies=1, runs=2, checkpoints=7))
    paths = [f"tinker://{run_id_of(number)}/weights/step-{step:06}" for number in range(2) for step in range(2)]
    contest.check(retention.digest(paths))

    with pytest.raises(Untrue):
        contest.check(retention.digest([*paths, "tinker://more/weights/x"]))


@pytest.mark.pure
@pytest.mark.parametrize(
    "found",
    [
        {"tensors": 2, "counts": {"a": 1}, "odd": []},
        {"tensors": 1, "counts": {"a": 2}, "odd": []},
        {"tensors": 2, "counts": {"a": 2}, "odd": ["the rank is another one"]},
    ],
    ids=["a value overlooked", "a tensor overlooked", "a fault that is none"],
)
def test_an_inspection_that_is_wrong_is_no_measurement(tmp_path: Path, found: Any) -> None:
    """However fast it was."""
    contest = inspection.contest_of(inspection.Adapter(tmp_path, "F32", {"a": 2}), 2)
    contest.check({"tensors": 2, "counts": {"a": 2}, "odd": []})

    with pytest.raises(Untrue):
        contest.check(found)


@pytest.mark.cluster
def test_the_operator_and_the_loop_hand_over_every_run(control_plane: ControlPlane, tmp_path: Path) -> None:
    """From the newest checkpoint, to a live run of its own, or the program ends with Untrue."""
    outcome = recovery.measure(control_plane, recovery.Sizes(many=3, samples_of_one=1, samples_of_many=3), 3, tmp_path)

    assert contenders(outcome) == {
        (job, name) for job in ("1 run corrupted at once", "3 runs corrupted at once") for name in (OURS, recovery.LOOP)
    }
    assert [len(one.values["delay_seconds"]) for one in outcome.series] == [1, 3, 1, 3]
    assert all(delay > 0 for one in outcome.series for delay in one.values["delay_seconds"])


@pytest.mark.timeout(600)
@pytest.mark.cluster
def test_a_crowd_is_looked_after_by_everybody(tmp_path: Path) -> None:
    """Ours writes nothing at rest, asks for pages and not for runs, and recovers exactly once."""
    sizes = ScaleSizes(300, 5, 1, poll_seconds=5, rest_seconds=16, baseline_rest_seconds=10, starts=2)
    outcome = scale.measure(sizes, 3, tmp_path)

    many = "300 TrainingRuns"
    assert contenders(outcome) == {(many, name) for name in (scale.LIMIT, scale.TIMERS, scale.MONITOR, OURS)}
    ours = next(one.values for one in outcome.of(many) if one.contender == OURS)
    starts = {one.contender: len(one.values.get("start_seconds", ())) for one in outcome.series}
    assert starts == {scale.LIMIT: 2, scale.TIMERS: 1, scale.MONITOR: 0, OURS: 2}
    assert (ours["rest_writes"], ours["rest_events"], ours["rest_calls_per_poll"]) == ([0], [0], [3])
    assert len(ours["newcomer_seconds"]) == 1
    assert len(ours["recovered_seconds"]) == 5
    assert [claim.holds for claim in outcome.claims] == [True, True, True, True]


@pytest.mark.timeout(300)
@pytest.mark.cluster
def test_at_a_service_in_trouble_the_loop_restores_too(tmp_path: Path) -> None:
    """A call that fails and is made again is no second recovery, by ours or by the loop."""
    sizes = ScaleSizes(20, 4, 1, poll_seconds=2, rest_seconds=4, latency_ms=20, error_every=10)
    outcome = scale.measure(sizes, 3, tmp_path, ["limit", "timers"])

    assert contenders(outcome) == {("20 TrainingRuns, answers 20 ms late, 10 % of calls fail", one) for one in BOTH}
    for one in outcome.series:
        assert (one.values["recovered_right"], one.values["recovered_made"]) == ([4], [4])
        assert len(one.values["handed_over_seconds"]) == 4


@pytest.mark.cluster
def test_the_limit_writes_what_the_operator_writes_first(tmp_path: Path) -> None:
    """The same fields and about as much text, or the API server would have less to do for the loop."""
    sizes = ScaleSizes(runs=12, corrupted=1, newcomers=1, poll_seconds=5, rest_seconds=5)
    theirs, ours = (
        first_statuses(tmp_path / name, sizes, contender)
        for name, contender in {"loop": scale_baselines.by_bare_loop, "operator": started}.items()
    )

    assert [paths(status) for status in theirs] == [paths(status) for status in ours]
    assert len(json.dumps(theirs)) == pytest.approx(len(json.dumps(ours)), rel=0.02)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([0, 0, 0, 0, 0, 0], []),
        ([0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 9], [3]),
        ([5, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1], [3]),
    ],
    ids=["nothing is no poll", "a poll that was cut short does not count", "a short pause belongs to the poll"],
)
def test_a_poll_is_what_stands_between_two_pauses(steps: list[int], expected: list[int]) -> None:
    """The first and the last may be cut, so they are left out."""
    assert bursts(steps) == expected


@pytest.mark.pure
@pytest.mark.parametrize(
    ("grown", "holds"),
    [([MIB, 64 * MIB], True), ([MIB, 64 * MIB + 1], False)],
    ids=["the limit itself holds", "one byte more in one turn does not"],
)
def test_the_claim_about_memory_is_judged_by_the_worst_download(grown: list[float], *, holds: bool) -> None:
    """And by no other job; the program exits 1 when it does not hold."""
    assert client.memory_claim(downloads(grown), 2048).holds is holds


@pytest.mark.pure
@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [([5.0], 0.99, 5.0), ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0), (list(map(float, range(1, 101))), 0.99, 99.0)],
    ids=["one value is every quantile", "the lower of two middles", "of a hundred the last but one"],
)
def test_a_quantile_is_a_value_that_was_measured(values: list[float], part: float, expected: float) -> None:
    """Nearest rank: nothing is interpolated."""
    assert quantile(values, part) == expected


@pytest.mark.pure
def test_nothing_is_divided_by_what_is_too_small() -> None:
    """A ratio to the allocator's noise says nothing."""
    assert ratio([3.0], [1.0], least=1.0) is None
    assert ratio([3.0, 1.0, 2.0], [4.0]) == pytest.approx(0.5)
