"""`kubectl tinker status` on a fixed laboratory: to the letter, at every width, and from nothing but the objects."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.core.strategies_policy import NOW
from tests.plugin import lab

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.world import CheckpointKind
from tinker_operator.plugin.curves import LOSS, curve_of, metric_of
from tinker_operator.plugin.printing import as_text
from tinker_operator.plugin.sparks import sparkline
from tinker_operator.plugin.status_next import next_of_policy, next_of_run
from tinker_operator.plugin.status_report import StatusReport, status_report
from tinker_operator.plugin.status_table import status_screen

pytestmark = pytest.mark.pure

SCREEN = """\
namespace lab, as of 2026-03-01 12:00:00 UTC

   TRAININGRUN  STATE              LAST CHECKPOINT          LOSS
◌  bio-dpo      Recovering         step-30          2 h     █▄▂▁▂▆ 2.6
✗  chem-rl      RecoveryExhausted  -                        ?
‖  law-sft      Suspended          -                        -
●  math-sft     Live               step-007000      12 min  █▆▅▃▃▂▂▁▁▁▁▁ 1.96
◌  play         New                -                        -

   CHECKPOINTPOLICY  STATE     RUNS  STAY           GO           DELETED
●  keep-what-counts  Enforced  3     10 (10.2 GiB)  2 (2.6 GiB)  41
●  try-it            Reported  1     5              7            0

◌ bio-dpo: The service flags the run as corrupted; attempt 2 restores it.
✗ chem-rl: No attempt is left. Mend the cause, then change the spec.
◌ play: The operator has not seen it yet.
→ bio-dpo: attempt 2: step-20 is restored
→ keep-what-counts: step-002000 is deleted in 40 min, step-007000 is proven
? chem-rl: No connection to the service. Check the network.
"""


def screen(report: StatusReport, width: int, **console: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, **console).print(status_screen(report, width))
    return out.getvalue()


def test_the_screen_of_a_laboratory_to_the_letter() -> None:
    lines = [line.rstrip() for line in screen(lab.report(), 80).splitlines()]
    assert "\n".join(lines) + "\n" == SCREEN


@pytest.mark.parametrize("width", [80, 99, 100, 119, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int) -> None:
    said = screen(lab.report(), width)
    assert max(map(len, said.splitlines())) <= width
    words = " ".join(said.split())
    assert "attempt 2: step-20 is restored" in words
    assert ("9b1deb4d:train:0" in words) == (width >= 120)


def test_colours_are_for_terminals() -> None:
    assert "\x1b" not in screen(lab.report(), 100)
    assert "\x1b[" in screen(lab.report(), 100, force_terminal=True, color_system="standard")


def test_a_name_from_the_service_cannot_move_the_cursor() -> None:
    evil = lab.live(lastCheckpoint={"path": "tinker://r/weights/a\x1b[2J", "time": lab.ago(hours=1)})
    report = status_report((evil,), (), {}, namespace="lab", now=NOW)
    assert "\x1b" not in screen(report, 120)


def test_of_all_namespaces_each_name_has_its_own() -> None:
    report = status_report((lab.live(),), (), {}, namespace=None, now=NOW)
    assert "lab/math-sft" in screen(report, 100)
    assert "namespace" not in json.loads(as_text(report, "json"))


def test_an_empty_namespace_says_where_to_look() -> None:
    empty = status_report((), (), {}, namespace="lab", now=NOW)
    assert "kubectl get tinker -A" in " ".join(screen(empty, 80).split())


def test_what_does_not_parse_is_named() -> None:
    report = status_report((), (), {}, namespace="lab", now=NOW, unreadable=["TrainingRun lab/odd"])
    assert "TrainingRun lab/odd does not parse" in screen(report, 120)


def test_a_spec_that_was_not_looked_at_yet_is_not_ready() -> None:
    """Its conditions are of the spec before."""
    edited = lab.live()
    edited = edited.model_copy(update={"metadata": edited.metadata.model_copy(update={"generation": 2})})
    (line,) = status_report((edited,), (), {}, namespace="lab", now=NOW).training_runs
    assert (line.ready, line.state) == (False, "Live")


FLIGHT = {"attempt": 2, "fromTrainingRunId": lab.LOST, "startedAt": lab.ago(minutes=2)}
CHOSEN = {**FLIGHT, "checkpoint": f"tinker://{lab.LOST}/weights/step-20"}


@pytest.mark.parametrize(
    ("run", "said"),
    [
        pytest.param(lab.live(), [], id="a run that trains"),
        pytest.param(lab.suspended(), [], id="a run that is held back"),
        pytest.param(lab.new(), [], id="a run that is new"),
        pytest.param(
            lab.recovering(recovery={"inFlight": FLIGHT}), ["attempt 2: a checkpoint is chosen"], id="no checkpoint yet"
        ),
        pytest.param(
            lab.recovering(recovery={"inFlight": {**CHOSEN, "validation": {}}}),
            ["attempt 2: step-20 is proven"],
            id="a proof under way",
        ),
        pytest.param(
            lab.recovering(recovery={"inFlight": {**CHOSEN, "mode": "HandOver", "handedOver": True}}),
            ["attempt 2: the loop resumes from step-20"],
            id="the loop's turn",
        ),
        pytest.param(
            lab.recovering(recovery={"inFlight": {**CHOSEN, "failure": "TimedOut"}}),
            ["attempt 2: ends as TimedOut"],
            id="an attempt that failed",
        ),
        pytest.param(
            lab.recovering(recovery={"attempt": 2, "nextAttemptTime": lab.ahead(seconds=40)}),
            ["attempt 3"],
            id="between attempts",
        ),
        pytest.param(
            lab.live(trainer={"job": "j", "attempt": 0, "phase": "Launching"}), ["the trainer Job starts"], id="a Job"
        ),
        pytest.param(
            lab.live(
                hooks={
                    "pending": [
                        {"id": "1", "hook": "tell", "occasion": "Recovered", "attempt": 1, "since": lab.ago(minutes=1)}
                    ]
                }
            ),
            ["hook tell"],
            id="a hook",
        ),
        pytest.param(lab.run("made", creation={"sessionId": "s"}), ["the run is made"], id="a run that is being made"),
    ],
)
def test_what_happens_next_with_a_run(run: TrainingRun, said: list[str]) -> None:
    assert [step.what for step in next_of_run(run)] == said


EXPORT = {"path": f"tinker://{lab.MATH}/weights/a", "trainingRun": "math-sft", "target": "pvc", "job": "j"}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        pytest.param(lab.deleting(), ["step-002000 is deleted", "step-007000 is proven"], id="a grace period"),
        pytest.param(lab.only_telling(), [], id="a policy that deletes nothing"),
        pytest.param(
            lab.policy("p", spec={"suspend": True}, retention={"action": "Delete"}), [], id="a policy that is held back"
        ),
        pytest.param(
            lab.policy("p", exports=[{**EXPORT, "state": "Running"}]), ["a is exported"], id="an export under way"
        ),
        pytest.param(
            lab.policy("p", exports=[{**EXPORT, "state": "Failed", "nextAttemptTime": lab.ahead(hours=1)}]),
            ["export of a"],
            id="an export that is tried again",
        ),
        pytest.param(lab.policy("p", exports=[{**EXPORT, "state": "Failed"}]), [], id="an export that was given up"),
        pytest.param(
            lab.policy("p", publishing={"checkpoints": [{"path": EXPORT["path"], "trainingRun": "math-sft"}]}),
            ["a becomes public"],
            id="a publication that is announced",
        ),
    ],
)
def test_what_happens_next_by_a_policy(policy: CheckpointPolicy, said: list[str]) -> None:
    assert [step.what for step in next_of_policy(policy)] == said


def test_the_end_of_a_grace_period_is_told() -> None:
    first = next_of_policy(lab.deleting())[0]
    assert first.not_before is not None
    assert (first.not_before - NOW).total_seconds() == 2400


@pytest.mark.parametrize(
    ("values", "width", "said"),
    [
        ([], 8, ""),
        ([1.0], 8, "▄"),
        ([2, 2, 2], 8, "▄▄▄"),
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
        ([8, 1], 8, "█▁"),
        ([1, 9, 2, 9, 3, 9], 3, "▄▄▄"),
        ([-1.7e308, 1.7e308], 8, "▁█"),
    ],
    ids=["nothing", "one", "no change", "a staircase", "a fall", "the last of each part", "as far as floats go"],
)
def test_a_row_of_numbers_as_blocks(values: list[float], width: int, said: str) -> None:
    assert sparkline(values, width) == said


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40), st.integers(1, 20))
def test_a_row_of_blocks_has_its_width_and_ends_with_the_last_value(values: list[float], width: int) -> None:
    drawn = sparkline(values, width)
    assert len(drawn) == min(len(values), width)
    if values and max(values) / 2 > min(values) / 2 and values[-1] == max(values):
        shown = values if len(values) <= width else [values[(at + 1) * len(values) // width - 1] for at in range(width)]
        assert min(shown) / 2 == max(shown) / 2 or drawn[-1] == "█"


def test_a_curve_is_of_training_checkpoints_that_have_the_metric_in_their_order() -> None:
    """NaN is no number to draw, a sampler's save none of its own."""
    listed = [
        lab.saved(20, "2.0"),
        lab.saved(10, "3.0"),
        lab.saved(30, "nan"),
        lab.saved(40, "1.0", kind=CheckpointKind.SAMPLER),
        lab.saved(50, "1.5", time=None),
    ]
    curve = curve_of(listed, LOSS)
    assert [(point.step, point.value) for point in curve.points] == [(10, 3.0), (20, 2.0)]


def test_the_metric_is_what_the_recovery_or_a_policy_goes_by() -> None:
    best = lab.policy("best", retention={"keepBest": {"count": 1, "metric": {"name": "reward", "mode": "Max"}}})
    timed = lab.policy("timed", spec={"schedule": {"strategy": "Best", "metric": {"name": "accuracy"}}})
    by_recovery = lab.run("sft", spec={"recovery": {"checkpointStrategy": "Best", "metric": {"name": "perplexity"}}})
    assert metric_of(lab.live(), ()).name == "loss"
    assert metric_of(lab.live(), (best,)).name == "reward"
    assert metric_of(lab.live(), (timed,)).name == "accuracy"
    assert metric_of(by_recovery, (best,)).name == "perplexity"
