"""What one connection knows of the calls that its service has; learned from answers and asked for by callers."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Support(StrEnum):
    """Whether a service has a call."""

    SUPPORTED = "Supported"
    """It answered the call, if only by speaking of the thing asked for."""
    MISSING = "Missing"
    """It said so in a way that cannot mean a missing run or checkpoint."""
    UNKNOWN = "Unknown"
    """Not asked yet, or nothing that it said proves either."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The calls that services are known to lack, each with what is known of it."""

    list_runs: Support = Support.UNKNOWN
    get_run: Support = Support.UNKNOWN
    list_checkpoints: Support = Support.UNKNOWN
    list_user_checkpoints: Support = Support.UNKNOWN
    delete: Support = Support.UNKNOWN
    publish: Support = Support.UNKNOWN
    ttl: Support = Support.UNKNOWN
    archive: Support = Support.UNKNOWN
    sessions: Support = Support.UNKNOWN
    client_config: Support = Support.UNKNOWN
    create_form_load: Support = Support.UNKNOWN
    """`load_weights` that makes the run; the other form loads into a run that exists."""


class Knowledge:
    """The capabilities of one connection's service, as they become known."""

    def __init__(self) -> None:
        self.capabilities = Capabilities()

    def learn(self, name: str, support: Support) -> None:
        """Remember what was shown; a call that once worked is not called missing afterwards, whatever is said.

        Args:
            name: A field of `Capabilities`.
            support: What an answer proves; UNKNOWN proves nothing and changes nothing.
        """
        worked = self.of(name) is Support.SUPPORTED
        if support is Support.SUPPORTED or (support is Support.MISSING and not worked):
            self.capabilities = replace(self.capabilities, **{name: support})

    def of(self, name: str) -> Support:
        """Give what is known of one call."""
        known: Support = getattr(self.capabilities, name)
        return known
