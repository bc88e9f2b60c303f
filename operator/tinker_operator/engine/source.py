"""What the engine asks of whatever delivers watch events, so that kopf can be replaced by another without a ripple."""

from typing import Protocol

from tinker_operator.engine.keys import KubeObject


class EventSink(Protocol):
    """Takes watch events; a `Store` is one."""

    def is_news(self, kind: str, obj: KubeObject) -> bool:
        """Whether `apply` would make anything of this version. Any thread may ask; the answer may be old at once."""

    def apply(self, kind: str, obj: KubeObject) -> object:
        """An object is there in this version."""

    def discard(self, kind: str, obj: KubeObject) -> object:
        """An object was deleted; this is its last version."""


class EventSource(Protocol):
    """Delivers every object at first and every change from then on. It may miss deletions: the resync repairs that."""

    async def run(self, sink: EventSink) -> None:
        """Deliver until cancelled. Calls the sink in the event loop that runs this.

        Raises:
            Exception: It cannot go on; whoever runs it starts it again.
        """
