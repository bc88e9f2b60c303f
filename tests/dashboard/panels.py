"""What the dashboard shows: each panel with its question, its unit and the bounds that colour it.

`tests.dashboard.making` makes Grafana's JSON of it. Figures that every replica shows are taken once, by `max by`; those
of work that only the leader does are summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

HERE: Final = 'job="$job"'
OURS: Final = f'{HERE}, namespace=~"$namespace"'
FAILED: Final = f'{HERE}, code!~"2.."'
GREEN, RED = "green", "red"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to Prometheus.

    Attributes:
        expression: In PromQL, with the dashboard's variables.
        legend: What its series are called.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel.

    Attributes:
        title: What stands above it.
        about: What stands behind its sign for information.
        asks: What it shows.
        unit: As Grafana names units.
        kind: One number, or lines over time.
        stacked: Whether lines stand on each other.
        bounds: From which values on which colour holds; without any, nothing is good or bad.
        width: Of 24 columns.
    """

    title: str
    about: str
    asks: tuple[Ask, ...]
    unit: str = "short"
    kind: Literal["stat", "timeseries"] = "timeseries"
    stacked: bool = False
    bounds: tuple[tuple[float, str], ...] = ()
    width: int = 8


def number(title: str, about: str, expression: str, *bounds: tuple[float, str], unit: str = "short") -> Panel:
    """Returns a panel of one number; without bounds it is neither good nor bad."""
    return Panel(title, about, (Ask(expression),), unit=unit, kind="stat", bounds=bounds, width=4)


def quantiles(metric: str, where: str) -> tuple[Ask, ...]:
    """Returns the questions after the median and the slowest twentieth of a histogram."""
    rate = f"sum by (le) (rate({metric}_bucket{{{where}}}[$__rate_interval]))"
    return tuple(Ask(f"histogram_quantile({of}, {rate})", name) for of, name in ((0.5, "half"), (0.95, "95 %")))


def once(metric: str, *labels: str, more: str = "") -> str:
    """Returns a gauge of objects, taken once of all replicas."""
    return f"max by ({', '.join(('namespace', *labels))}) ({metric}{{{OURS}{more}}})"


FLEET: Final = (
    number("TrainingRuns", "All that the operator follows.", f"sum({once('tinker_operator_training_runs', 'state')})"),
    number(
        "Corrupted now",
        "Runs that the service flags as corrupted, and that are not back yet.",
        f"sum({once('tinker_operator_training_runs_corrupted')})",
        (0, GREEN),
        (1, RED),
    ),
    number(
        "Brought back",
        "Recoveries that came to their end since the operator started.",
        f'sum(tinker_operator_recovery_steps_total{{{OURS}, step="completed"}}) or vector(0)',
    ),
    number(
        "Given up",
        "Runs for which no attempt was left, since the operator started. See the runbook of TinkerRecoveryExhausted.",
        f'sum(tinker_operator_recovery_steps_total{{{OURS}, step="exhausted"}}) or vector(0)',
        (0, GREEN),
        (1, RED),
    ),
    number(
        "Time to hand-over",
        "Mean, from the start of an attempt until the run was handed over, since the operator started.",
        f"sum(tinker_operator_recovery_duration_seconds_sum{{{OURS}}}) / "
        f"sum(tinker_operator_recovery_duration_seconds_count{{{OURS}}})",
        unit="s",
    ),
    number(
        "Replicas that lead",
        "One of all; none for as long as a Lease takes to change hands.",
        f"sum(tinker_operator_leading{{{HERE}}})",
        (0, RED),
        (1, GREEN),
        (2, RED),
    ),
    Panel(
        "TrainingRuns by state",
        "The state is the reason of the condition Ready; the README explains each.",
        (Ask(f"sum by (state) ({once('tinker_operator_training_runs', 'state')})", "{{state}}"),),
        stacked=True,
    ),
    Panel(
        "Steps of recoveries",
        "Since the operator started: what was detected and has neither completed nor failed is under way.",
        (Ask(f"sum by (step) (tinker_operator_recovery_steps_total{{{OURS}}})", "{{step}}"),),
    ),
    Panel(
        "Since the newest checkpoint",
        "Of each TrainingRun that is expected to save. What a loop loses at most when its run is lost now.",
        (
            Ask(
                f"time() - {once('tinker_operator_training_run_newest_checkpoint_timestamp_seconds', 'training_run')} "
                f"and {once('tinker_operator_training_run_training', 'training_run')} == 1",
                "{{namespace}}/{{training_run}}",
            ),
        ),
        unit="s",
        bounds=((0, GREEN), (21600, RED)),
    ),
)
CHECKPOINTS: Final = (
    Panel(
        "Checkpoints kept and due",
        "Of all policies. What is due goes after its grace period, if the policy deletes.",
        (Ask(f"sum by (state) ({once('tinker_operator_policy_checkpoints', 'policy', 'state')})", "{{state}}"),),
        stacked=True,
    ),
    Panel(
        "Bytes kept and due",
        "As far as the service tells sizes.",
        (Ask(f"sum by (state) ({once('tinker_operator_policy_checkpoint_bytes', 'policy', 'state')})", "{{state}}"),),
        unit="bytes",
        stacked=True,
    ),
    Panel(
        "Deleted, by the rule that let them go",
        "Since the operator started.",
        (Ask(f"sum by (rule) (tinker_operator_policy_deletions_total{{{OURS}}}) > 0", "{{rule}}"),),
    ),
    Panel(
        "Why checkpoints are kept",
        "One may have several reasons, so these do not add up.",
        (
            Ask(
                f"sum by (reason) ({once('tinker_operator_policy_kept_checkpoints', 'policy', 'reason')})", "{{reason}}"
            ),
        ),
    ),
    Panel(
        "Validated, by verdict",
        "What spec.validation of policies has proven.",
        (
            Ask(
                f"sum by (verdict) ({once('tinker_operator_policy_validated_checkpoints', 'policy', 'verdict')})",
                "{{verdict}}",
            ),
        ),
        stacked=True,
    ),
    Panel(
        "Exports by state",
        "Of checkpoints that the service lists. See the runbook of TinkerExportsFail.",
        (Ask(f"sum by (state) ({once('tinker_operator_policy_exports', 'policy', 'state')})", "{{state}}"),),
        stacked=True,
    ),
)
SERVICE: Final = (
    Panel(
        "Requests by route",
        "To the Tinker service, a second. All runs of a key share one listing.",
        (
            Ask(
                f"sum by (method, route) (rate(tinker_operator_service_requests_total{{{HERE}}}[$__rate_interval]))",
                "{{method}} {{route}}",
            ),
        ),
        unit="reqps",
    ),
    Panel(
        "How long they take",
        "Until the last byte of the answer; each attempt counts.",
        quantiles("tinker_operator_service_request_duration_seconds", HERE),
        unit="s",
    ),
    Panel(
        "Requests that failed",
        "A second, by status, or by the reason why there was no answer.",
        (
            Ask(
                f"sum by (code) (rate(tinker_operator_service_requests_total{{{FAILED}}}[$__rate_interval]))",
                "{{code}}",
            ),
        ),
        unit="reqps",
    ),
    Panel(
        "Calls by lane",
        "A second: looks at all runs, what is done for one TrainingRun, what policies ask, and heartbeats.",
        (
            Ask(
                f"sum by (lane, outcome) (rate(tinker_operator_service_calls_total{{{HERE}}}[$__rate_interval]))",
                "{{lane}} {{outcome}}",
            ),
        ),
        unit="reqps",
    ),
    Panel(
        "How long calls wait for the budget",
        "Of their connection; long waits mean that --calls-per-second is too low.",
        quantiles("tinker_operator_service_wait_seconds", HERE),
        unit="s",
    ),
    Panel(
        "Connections that hold calls back",
        "Because their service fails; looks at all runs and heartbeats go on.",
        (Ask(f"sum(tinker_operator_service_held_back_connections{{{HERE}}})", "connections"),),
    ),
)
ENGINE: Final = (
    Panel(
        "Rounds by result",
        "A second; error means that the object is looked at again, later and later.",
        (
            Ask(
                f"sum by (controller, result) (rate(controller_runtime_reconcile_total{{{HERE}}}[$__rate_interval]))",
                "{{controller}} {{result}}",
            ),
        ),
        unit="ops",
    ),
    Panel(
        "How long rounds take",
        "Calls to the service and to the API server included.",
        quantiles("controller_runtime_reconcile_time_seconds", HERE),
        unit="s",
    ),
    Panel(
        "How long objects wait for a worker",
        "Long waits mean that the work is more than the workers do.",
        quantiles("workqueue_queue_duration_seconds", HERE),
        unit="s",
    ),
    Panel("Objects that wait for a worker", "Now.", (Ask(f"sum by (name) (workqueue_depth{{{HERE}}})", "{{name}}"),)),
    Panel(
        "Memory",
        "Of each replica.",
        (Ask(f"process_resident_memory_bytes{{{HERE}}}", "{{instance}}"),),
        unit="bytes",
    ),
    Panel(
        "Processor",
        "Cores that each replica uses.",
        (Ask(f"rate(process_cpu_seconds_total{{{HERE}}}[$__rate_interval])", "{{instance}}"),),
    ),
)
ROWS: Final[Sequence[tuple[str, tuple[Panel, ...]]]] = tuple(
    zip(("Fleet", "Checkpoints", "Service", "Engine"), (FLEET, CHECKPOINTS, SERVICE, ENGINE), strict=True)
)
