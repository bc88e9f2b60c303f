"""The Tinker service as typed asynchronous methods; what controllers, commands and tests call.

    async with TinkerClient("https://…", SecretStr("tml-…")) as tinker:
        runs = await tinker.training_runs()

Every method raises `TinkerError` and nothing else for what happens between here and the service (see `errors`). Ids are
opaque: whatever form a service gives them, they are passed on as they came.
"""

from tinker_operator.tinker.inventory import InventoryCalls
from tinker_operator.tinker.sessions import SessionCalls
from tinker_operator.tinker.training import TrainingCalls


class TinkerClient(SessionCalls, TrainingCalls, InventoryCalls):
    """All calls of one Tinker service under one key; constructed, entered and left as `Connection` says."""
