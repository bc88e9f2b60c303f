"""The calls that clients in a session speak through."""

from pydantic import SecretStr

from tinker_operator.tinker.dialects.restoring import DialectCalls
from tinker_operator.tinker.sampling import SamplingCalls
from tinker_operator.tinker.sessions import SessionCalls


class LiveCalls(DialectCalls, SessionCalls, SamplingCalls):
    """Sessions, models and samplers of one service."""

    def monotonic(self) -> float:
        """Give the seconds of the clock that deadlines are told by."""
        return self._transport.keeper.monotonic()

    def hide(self, secret: SecretStr) -> None:
        """Show a secret that goes with a call in no text."""
        self._transport.hide(secret)
