"""What is counted and logged of what happened: the steps by their names, few labels, the fields of the Event."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry

from tinker_operator.cli.logs import configure_logs
from tinker_operator.controllers.telemetry import RECOVERY_BUCKETS, Telemetry
from tinker_operator.core.telemetry import STEPS, EventReason, Told, checkpoints_left
from tinker_operator.engine.keys import ObjectKey

pytestmark = pytest.mark.pure

SEVEN = {"detected", "started", "checkpoint_selected", "client_created", "completed", "failed", "exhausted"}
EVENTS = "tinker_operator_events_total"
STEPS_COUNTED = "tinker_operator_recovery_steps_total"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs(stream, json=True)
    yield stream
    structlog.reset_defaults()


def key(name: str = "sft", namespace: str = "team") -> ObjectKey:
    return ObjectKey("TrainingRun", namespace, name)


def test_the_steps_are_the_seven_that_users_chart() -> None:
    """Under the names of Tinker's own recovery policy."""
    assert set(STEPS.values()) == SEVEN


@pytest.mark.parametrize("reason", EventReason)
def test_whatever_happened_is_counted_once_and_logged_once(
    reason: EventReason, registry: CollectorRegistry, log: io.StringIO
) -> None:
    """A step of a recovery counts as a step, too."""
    Telemetry(registry).tell(key(), Told(reason, "It happened.", warning=True, fields=(("attempt", 3),)))

    labels = {"kind": "TrainingRun", "namespace": "team", "reason": str(reason)}
    steps = {step: registry.get_sample_value(STEPS_COUNTED, {"namespace": "team", "step": step}) for step in SEVEN}
    (line,) = [json.loads(each) for each in log.getvalue().splitlines()]
    step = STEPS.get(reason)
    assert registry.get_sample_value(EVENTS, labels) == 1
    assert {name for name, count in steps.items() if count} == ({step} if step else set())
    assert (line["kind"], line["namespace"], line["name"]) == ("TrainingRun", "team", "sft")
    assert (line["attempt"], line["message"], line["level"]) == (3, "It happened.", "warning")
    assert line["event"] == f"recovery_{step}" if step else line["event"].replace("_", "") == str(reason).lower()


def test_the_number_of_series_does_not_grow_with_runs(registry: CollectorRegistry) -> None:
    """A thousand objects in two namespaces: as many series as two objects have."""
    telemetry = Telemetry(registry)

    def series() -> int:
        return sum(len(family.samples) for family in registry.collect())

    def everything(name: str, namespace: str) -> None:
        for reason in EventReason:
            fields = (("run", f"{name}:train:0"), ("checkpoint", f"tinker://{name}/weights/1"), ("attempt", 1))
            telemetry.tell(key(name, namespace), Told(reason, name, fields=fields))

    everything("first", "a")
    everything("first", "b")
    before = series()
    for number in range(500):
        everything(f"run-{number}", "a")
        everything(f"run-{number}", "b")

    assert series() == before
    assert before <= 2 * (2 * (len(EventReason) + len(SEVEN)) + len(RECOVERY_BUCKETS) + 4)
    labels = {name for family in registry.collect() for sample in family.samples for name in sample.labels}
    assert labels == {"kind", "namespace", "reason", "step", "le"}


def test_no_name_of_a_field_hides_one_of_the_line() -> None:
    """What each line carries is kept for itself."""
    told = checkpoints_left("The Secret does not exist.")
    assert not {name for name, _ in told.fields} & {"kind", "namespace", "name", "message", "event", "level"}
    assert told.warning
    assert "Secret does not exist" in told.note


def test_how_long_it_took_is_counted_of_a_recovery_that_came_to_its_end(registry: CollectorRegistry) -> None:
    """One that failed did not bring anything back."""
    telemetry = Telemetry(registry)
    telemetry.tell(key(), Told(EventReason.RECOVERY_COMPLETED, "", fields=(("seconds", 12),)))
    telemetry.tell(key(), Told(EventReason.RECOVERY_FAILED, "", fields=(("seconds", 500),)))

    name = "tinker_operator_recovery_duration_seconds"
    assert registry.get_sample_value(f"{name}_sum", {"namespace": "team"}) == 12
    assert registry.get_sample_value(f"{name}_count", {"namespace": "team"}) == 1
