"""Requests to the API server, in JSON and with typed errors; `KubeApi` speaks through it.

It is the official client's own connection, authentication and TLS, without its models: objects stay the open JSON
that the store keeps, and a custom resource has no model there anyway.
"""

import json
from copy import copy
from typing import Any, Self
from urllib.request import getproxies

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from tinker_operator.engine.keys import KubeObject
from tinker_operator.engine.kube_errors import Access, error_of, unreachable
from tinker_operator.engine.leaving import AskingRequest, Leave, asking
from tinker_operator.engine.pause import SharedPause

USER_AGENT = "tinker-operator"
JSON = "application/json"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{JSON}"
"""Metadata alone, or whole objects from a server that does not know that form: they have the same metadata."""
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class Transport:
    """One connection pool to one API server.

    Args:
        configuration: Address and credentials.
        request_seconds: How long any one request may take.
    """

    def __init__(self, configuration: Configuration, *, request_seconds: float = 30.0) -> None:
        # With trust_env, aiohttp looks for a proxy and reads ~/.netrc in another thread, before each single request.
        trusted = bool(getproxies().keys() - {"no"})
        configuration.client_session_kwargs = {"request_class": AskingRequest, "trust_env": trusted}
        self._client = ApiClient(configuration)
        self._client.user_agent = USER_AGENT
        self._pause = SharedPause()
        self._timeout = aiohttp.ClientTimeout(total=request_seconds)
        self.leave: Leave | None = None

    def fenced(self, leave: Leave) -> Self:
        """The same connections for who may only read unless it has leave.

        Args:
            leave: Asked right before anything but a read is sent; raises to hold it back.
        """
        twin = copy(self)
        twin.leave = leave
        return twin

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # half of the client has no types

    async def request(
        self,
        access: Access,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> KubeObject:
        """Ask once, and return the JSON of the answer.

        Args:
            access: What the request needs leave for; errors speak of it.
            method: HTTP method.
            path: From `Resource.path`.
            query: Query parameters.
            body: JSON to send.
            content_type: Of the body.
            accept: Of the answer: JSON, in one of the forms that the API server has.

        Raises:
            KubeError: Any other answer than success, or none.
        """
        if access.resource != "leases":
            await self._pause.over()
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            with asking(self.leave if method != "GET" else None):
                status, retry_after, text = await self._exchange(method, path, query or {}, body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise unreachable(access, fault) from fault
        if retry_after > 0:
            self._pause.begin(retry_after)
        answer = parsed_answer(text)
        if status >= 300:  # noqa: PLR2004 - HTTP's own boundary
            raise error_of(access, status, answer, retry_after)
        if not isinstance(answer, dict):
            raise unreachable(access, ValueError("the answer is not a JSON object"))
        return answer

    async def _exchange(
        self, method: str, path: str, query: dict[str, str], body: Any, headers: dict[str, str]
    ) -> tuple[int, float, bytes]:
        # Not with the body, which is JSON already: it would be walked through, value by value, for models to convert.
        verb, url, sent_headers, _, _ = await self._client.param_serialize(
            method, path, None, list(query.items()), headers, None, auth_settings=["BearerToken"]
        )
        response = await self._client.call_api(verb, url, sent_headers, body, _request_timeout=self._timeout)
        text: bytes = await response.response.read()
        return response.status, seconds_of(response.response.headers.get("Retry-After")), text


def parsed_answer(text: bytes) -> Any:
    """The JSON of a body; None when it is none, such as a proxy's page or half an answer.

    Args:
        text: The body.
    """
    try:
        return json.loads(text)
    except ValueError:
        return None


def seconds_of(header: str | None) -> float:
    """The seconds of a `Retry-After`; 0 when there is none, or none in seconds.

    Args:
        header: Its value.
    """
    return float(header) if header and header.isdecimal() else 0.0
