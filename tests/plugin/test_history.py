"""History and checkpoints of a TrainingRun, to the letter."""

import io

import pytest
from rich.console import Console, RenderableType
from tests.core.strategies_policy import NOW
from tests.plugin import lab

from tinker_operator.api.training_run import TrainingRun
from tinker_operator.plugin.checkpoints_command import checkpoints_table
from tinker_operator.plugin.checkpoints_report import checkpoints_report
from tinker_operator.plugin.history_command import history_tree
from tinker_operator.plugin.history_report import history_report

pytestmark = pytest.mark.pure


def printed(shown: RenderableType, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(shown)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def recovered() -> TrainingRun:
    """A run that came back from its second-best checkpoint, after an attempt that the service failed."""
    first = {
        "attempt": 1,
        "fromTrainingRunId": lab.LOST,
        "startedAt": lab.ago(minutes=4),
        "completedAt": lab.ago(minutes=3),
        "result": "BackendFailed",
        "message": "Try later.",
        "candidates": [lab.candidate(30, "BackendFailed")],
    }
    second = {
        **first,
        "attempt": 2,
        "startedAt": lab.ago(minutes=2),
        "completedAt": lab.ago(seconds=108),
        "result": "Recovered",
        "message": "",
        "toTrainingRunId": lab.BACK,
        "checkpoint": f"tinker://{lab.LOST}/weights/step-20",
        "candidates": [lab.candidate(30, "NotLoadable", "It is cut short."), lab.candidate(20, "Good")],
    }
    facts = {"trainingRunId": lab.BACK, "lineage": [lab.LOST, lab.BACK], "recoveries": 1, "failedAttempts": 1}
    return lab.live(**facts, recovery={"attempt": 2, "history": [first, second]})


TREE = """\
lab/math-sft  1 recovery, 1 failed attempt
└── c0ffee42:train:0
    ├── attempt 1  2026-03-01 11:56:00  Corrupted, Recreate: BackendFailed in 1 min  Try later.
    │   └── ? step-30  BackendFailed
    ├── attempt 2  2026-03-01 11:58:00  Corrupted, Recreate: Recovered in 12 s  → c0ffee42:train:1
    │   ├── ✗ step-30  NotLoadable  It is cut short.
    │   └── ✓ step-20  Good
    └── c0ffee42:train:1  current
"""


def test_the_history_of_a_run_to_the_letter() -> None:
    assert printed(history_tree(history_report(recovered()))) == TREE


def test_an_attempt_under_way_and_the_next_one_are_told() -> None:
    said = printed(history_tree(history_report(lab.recovering())))
    assert "attempt 2  2026-03-01 11:58:00  Corrupted, Recreate: under way" in said
    waiting = lab.recovering(recovery={"attempt": 1, "nextAttemptTime": lab.ahead(minutes=1)})
    assert "not before 2026-03-01 12:01:00" in printed(history_tree(history_report(waiting)))


def test_a_run_that_fell_out_of_the_lineage_keeps_its_place() -> None:
    """Its record is remembered longer than its id."""
    forgotten = recovered()
    forgotten = forgotten.model_copy(update={"status": forgotten.status.model_copy(update={"lineage": (lab.BACK,)})})
    assert [one.training_run_id for one in history_report(forgotten).runs] == [lab.LOST, lab.BACK]


def test_every_attempt_is_told_once() -> None:
    told = [attempt.attempt for one in history_report(recovered()).runs for attempt in one.attempts]
    assert told == [1, 2]


def test_a_run_that_is_not_bound_has_no_history() -> None:
    assert "no run yet" in printed(history_tree(history_report(lab.new())))


def test_an_escape_sequence_in_a_message_is_not_obeyed() -> None:
    evil = {
        "attempt": 1,
        "fromTrainingRunId": lab.LOST,
        "startedAt": lab.ago(minutes=2),
        "candidates": [lab.candidate(1, "NotLoadable", "a\x1b[2Jb")],
    }
    assert "\x1b" not in printed(history_tree(history_report(lab.recovering(recovery={"inFlight": evil}))))


LIST = """\
tinker://9b1deb4d:train:0/
  weights/step-002000  3 d  1.3 GiB  step 2000, loss 2.5  goes in 40 min
  weights/step-007000  3 d  1.3 GiB  step 7000, loss 1.9  Good, public, keepLast, newest
tinker://c0ffee42:train:0/
  weights/step-000005  8 d  1.3 GiB  step 5, loss nan  expires in 1 h
The service has no run gone:train:1 any more.
"""


def test_the_checkpoints_of_a_run_to_the_letter() -> None:
    last = lab.saved(7000, "1.9", public=True)
    kept = {"path": last.path, "time": last.time, "trainingRun": "math-sft", "because": ["KeepLast", "Newest"]}
    found = {
        "path": last.path,
        "time": last.time,
        "sizeBytes": last.size_bytes,
        "trainingRun": "math-sft",
        "level": "Load",
        "verdict": "Good",
    }
    knows = lab.policy("knows", kept=[kept], validation={"verdicts": [found]})
    listed = [
        lab.saved(5, "nan", lab.LOST, expires_at=NOW.replace(hour=13, minute=30)),
        last,
        lab.saved(2000, "2.5", time=NOW.replace(month=2, day=26)),
    ]
    report = checkpoints_report(lab.live(), listed, (lab.deleting(), knows), NOW, missing_runs=["gone:train:1"])
    told = [(one.path.rpartition("/")[2], one.verdict) for one in report.checkpoints]
    assert told == [("step-002000", None), ("step-007000", "Good"), ("step-000005", None)]
    assert printed(checkpoints_table(report, 100), 100) == LIST


def test_what_has_expired_is_not_said_to_expire() -> None:
    """A service may list it for a while."""
    old = lab.saved(5, "2", expires_at=NOW.replace(hour=11))
    said = printed(checkpoints_table(checkpoints_report(lab.live(), [old], (), NOW), 100))
    assert "expired" in said
    assert "expires in" not in said


def test_a_verdict_on_another_content_of_the_same_name_is_not_told() -> None:
    now = lab.saved(10, "2")
    before = {"path": now.path, "time": lab.ago(days=30), "sizeBytes": now.size_bytes, "trainingRun": "math-sft"}
    knows = lab.policy("knows", validation={"verdicts": [{**before, "level": "Load", "verdict": "Good"}]})
    (told,) = checkpoints_report(lab.live(), [now], (knows,), NOW).checkpoints
    assert told.verdict is None


def test_no_checkpoint_is_said_to_be_none() -> None:
    assert printed(checkpoints_table(checkpoints_report(lab.live(), [], (), NOW), 80)) == "No checkpoint yet.\n"
