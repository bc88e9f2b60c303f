"""What is told of hooks: delivered, failed and given up are three things, and none passes for another."""

from datetime import UTC, datetime, timedelta

import pytest

from tinker_operator.api.hook_status import HooksStatus, Occasion, PendingHook
from tinker_operator.api.reasons import Reason
from tinker_operator.api.run_status import HandOverStatus, TrainingRunStatus
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.conditions import Standing
from tinker_operator.core.decision import Decision
from tinker_operator.core.hooks import GIVE_UP_AFTER, told, with_calls
from tinker_operator.core.plan import AT_ONCE
from tinker_operator.core.telemetry import run_events
from tinker_operator.core.world import CallHook, Done, HookFailed, Outcome

pytestmark = pytest.mark.pure

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONG_AGO = NOW - GIVE_UP_AFTER - timedelta(seconds=1)


def pending(hook: str, since: datetime = NOW, **fields: object) -> PendingHook:
    known = {"id": f"id-of-{hook}", "hook": hook, "occasion": Occasion.RECOVERED, "attempt": 1, "since": since}
    return PendingHook.model_validate(known | fields)


def a_run(*calls: PendingHook) -> TrainingRun:
    webhook = {"urlSecretRef": {"name": "hooks", "key": "url"}}
    hooks = [{"name": name, "webhook": webhook} for name in ("old", "new")]
    spec = {"run": {"trainingRunId": "r"}, "recovery": {"onRecovery": hooks}}
    run = TrainingRun.model_validate({"metadata": {"name": "sft", "namespace": "n", "uid": "u"}, "spec": spec})
    status = TrainingRunStatus(
        attempt=1,
        hooks=HooksStatus(pending=calls),
        hand_over=HandOverStatus(config_map="c", attempt=1, training_run_id="r"),
    )
    return run.model_copy(update={"status": status})


def stepped(run: TrainingRun, outcome: Outcome) -> tuple[TrainingRun, list[str]]:
    """One round at rest: the object after it, and the reasons of its events."""
    rest = Decision(run.status, Standing.CURRENT, Reason.LIVE, "It is alive.")
    decision = with_calls(run, rest, "test", NOW)
    status = decision.journal
    for action in decision.plan.actions:
        assert isinstance(action, CallHook)
        status = told(status, action, outcome, NOW)
    events = [str(one.reason) for one in run_events(run.status, status)]
    return run.model_copy(update={"status": status}), events


def test_what_is_given_up_is_told_as_that_and_what_is_delivered_in_a_round_after() -> None:
    """Both at once could not be told apart afterwards."""
    run = a_run(pending("old", LONG_AGO, tries=9, message="It answered 503."), pending("new"))
    given_up, first = stepped(run, Done())
    delivered, second = stepped(given_up, Done())

    assert (first, second) == (["HookGivenUp"], ["HookDelivered"])
    hooks = delivered.status.hooks
    assert hooks is not None
    assert (hooks.given_up, hooks.delivered, hooks.pending) == (1, 1, ())
    assert hooks.last_failure == "old: It answered 503."


def test_a_hook_that_the_spec_no_longer_names_is_given_up() -> None:
    run = a_run(pending("renamed"))
    _, events = stepped(run, Done())
    assert events == ["HookGivenUp"]


def test_the_round_after_giving_up_comes_at_once() -> None:
    """What still waits must not wait for a poll."""
    run = a_run(pending("old", LONG_AGO), pending("new"))
    decision = with_calls(run, Decision(run.status, Standing.CURRENT, Reason.LIVE, ""), "test", NOW)
    assert (decision.plan.actions, decision.plan.wake_after) == ((), AT_ONCE)


def test_a_failure_is_told_once_however_often_it_is_repeated() -> None:
    """It is shown in status until it is mended."""
    run = a_run(pending("new"))
    failed, first = stepped(run, HookFailed("It answered 503."))
    again = failed.status.hooks
    assert again is not None
    due = again.model_copy(update={"pending": (again.pending[0].model_copy(update={"next_try_time": NOW}),)})
    _, second = stepped(
        failed.model_copy(update={"status": failed.status.model_copy(update={"hooks": due})}), HookFailed("503")
    )

    assert (first, second) == (["HookFailed"], [])
