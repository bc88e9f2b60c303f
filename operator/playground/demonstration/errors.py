"""What can go wrong in the demonstration itself; a claim that does not hold is a verdict and no error."""

from __future__ import annotations

from playground.errors import PlaygroundError


class PartEnded(PlaygroundError):
    """The simulator, the operator or the training loop ended before it was told to."""


class NotInTime(PlaygroundError):
    """Something that the demonstration waits for did not come."""


class OrderRefused(PlaygroundError):
    """A command of the simulator exited non-zero; the message is what it wrote to stderr."""


class ServiceSilent(PlaygroundError):
    """The Tinker service did not answer a question of ours, or refused it."""
