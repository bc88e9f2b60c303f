"""The last question before anything is changed anywhere: may this process still act?

A process that was frozen goes on where it stood, with what it had decided, though another one has taken over. Its
elector notices as soon as its turn comes, and ends it; until then, every request that is not a read asks here first.
"""

from typing import Protocol

from tinker_operator.engine.elector import LeadershipLost


class Leadership(Protocol):
    """A claim to act, which can be lost; `Elector` is one."""

    @property
    def resigned(self) -> bool:
        """Whether it was given up after all work had ended."""

    def leads(self) -> bool:
        """Whether this process may act at this moment."""

    async def acquire(self) -> None:
        """Wait until it may."""

    async def hold(self) -> None:
        """See to it that it may go on.

        Raises:
            LeadershipLost: Always, in the end.
        """

    async def release(self) -> None:
        """Give it up, so that another need not wait."""


class Fence:
    """What stands between decisions and the world.

    Args:
        leadership: The claim to act; None for a process that has no rival.
    """

    def __init__(self, leadership: Leadership | None) -> None:
        self._leadership = leadership

    def to_act(self) -> None:
        """Return if this process may act now.

        Raises:
            LeadershipLost: Another may be acting; what was to be sent must not go.
        """
        if self._leadership is not None and not self._leadership.leads():
            raise LeadershipLost("held back what was decided while this replica led: another one may lead by now")

    def to_tell(self) -> None:
        """Return if this process may tell what it did: also after it has given its claim up by itself.

        Raises:
            LeadershipLost: It lost its claim.
        """
        if self._leadership is None or not self._leadership.resigned:
            self.to_act()
