"""The Tinker service as typed asynchronous methods; what controllers, commands and tests call.

    async with TinkerClient("https://…", SecretStr("tml-…")) as tinker:
        runs = await tinker.training_runs()

Every method raises `TinkerError` and nothing else for what happens between here and the service (see `errors`). Ids are
opaque: whatever form a service gives them, they are passed on as they came.
"""

from tinker_operator.tinker.live.making import ClientMaking


class TinkerClient(ClientMaking):
    """All calls of one Tinker service under one key; constructed, entered and left as its parents say."""
