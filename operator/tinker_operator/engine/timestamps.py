"""The two-way spelling of Kubernetes' `MicroTime`, which Events and Leases use."""

from datetime import UTC, datetime


def micro_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, the only form that the API server takes for a MicroTime.

    Args:
        moment: Aware time.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment_of(text: str | None) -> datetime | None:
    """The aware time that a MicroTime spells; None for None.

    Args:
        text: RFC 3339.
    """
    return datetime.fromisoformat(text) if text else None
