"""Tells hooks: calls a webhook, or makes a Job. Whatever goes wrong is told in words, without the URL.

A webhook's URL may hold a token, so it comes from a Secret and its host alone is ever shown. The operator calls only
hosts that its administrator lists: a Secret's author could otherwise send its requests anywhere in its network. The
list names hosts, not addresses: who controls the names of a listed domain decides where the requests go.
"""

import asyncio
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

import httpx

from tinker_operator.api.hook_spec import Hook, SecretEntry, Webhook
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.hook_job import hook_job
from tinker_operator.core.world import CallHook, Done, HookFailed, Outcome
from tinker_operator.engine.keys import Resource
from tinker_operator.engine.kube import KubeApi
from tinker_operator.engine.kube_errors import KubeError, WriteConflict
from tinker_operator.tinker.leaving import Leave, always

JOBS: Final = Resource("batch", "v1", "jobs", "Job")
SIGNATURE: Final = "X-Tinker-Operator-Signature"
CALL_ID: Final = "X-Tinker-Operator-Id"
OCCASION: Final = "X-Tinker-Operator-Hook"
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+")
"""What may be shown as a host: in a URL that is written wrongly, a token may stand in its place."""


@dataclass(frozen=True, slots=True)
class HookCaller:
    """Tells hooks.

    Attributes:
        api: The Kubernetes API.
        allowed_hosts: Hosts that a webhook may be at: host, host:port, or *.domain for everything below it.
        carrier: What carries requests instead of the network.
        leave: Asked right before a webhook is called.
    """

    api: KubeApi
    allowed_hosts: frozenset[str]
    carrier: httpx.AsyncBaseTransport | None = None
    leave: Leave = always

    async def call(self, action: CallHook, run: TrainingRun) -> Outcome:
        """Tells one hook, once. Done when it took the message; HookFailed with the remedy otherwise.

        Args:
            action: Whom to tell, and what.
            run: The object that it is told of.
        """
        if action.hook.webhook is not None:
            return await self._post(action, action.hook.webhook, run)
        return await self._start(action, run)

    async def _post(self, action: CallHook, webhook: Webhook, run: TrainingRun) -> Outcome:
        namespace = run.metadata.namespace
        secret = webhook.url_secret_ref
        try:
            url = await self._entry(namespace, secret)
            key = await self._entry(namespace, webhook.hmac_secret_ref) if webhook.hmac_secret_ref else None
        except KubeError as error:
            return HookFailed(str(error))
        if url is None or (webhook.hmac_secret_ref is not None and not key):
            ref = secret if url is None else webhook.hmac_secret_ref or secret
            return HookFailed(f"There is no Secret {ref.name} with text in the entry {ref.key}. Create it.")
        if fault := self._objection(url):
            return HookFailed(f"The URL in Secret {secret.name} {fault}")
        return await self._sent(action, url, key, float(webhook.timeout_seconds))

    async def _entry(self, namespace: str, entry: SecretEntry) -> str | None:
        entries = await self.api.get_secret(namespace, entry.name)
        text = (entries or {}).get(entry.key, "").strip()
        return text or None

    def _objection(self, url: str) -> str | None:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            return "cannot be read. Write https://<host>/<path>."
        if parsed.scheme not in {"http", "https"} or not _HOST.fullmatch(_host(parsed)):
            return "is no http(s) URL. Write https://<host>/<path>."
        if self._is_allowed(parsed):
            return None
        return (
            f"is at {_host(parsed)}, which is not on the operator's list of webhooks. "
            "Ask the operator's administrator to add it (--allow-webhook)."
        )

    def _is_allowed(self, url: httpx.URL) -> bool:
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        names = {_host(url), *(f"*.{parent}" for parent in _parents(_host(url)))}
        return not self.allowed_hosts.isdisjoint(names | {f"{name}:{port}" for name in names})

    async def _sent(self, action: CallHook, url: str, key: str | None, seconds: float) -> Outcome:
        body = action.body.encode()
        headers = {"Content-Type": "application/json", CALL_ID: action.id, OCCASION: action.hook.name}
        if key is not None:
            headers[SIGNATURE] = signature(key, body)
        host = _host(httpx.URL(url))
        self.leave()
        try:
            # The client's own limit is for each wait alone, so that a receiver that drips its answer never meets it.
            async with (
                asyncio.timeout(seconds),
                httpx.AsyncClient(timeout=seconds, transport=self.carrier, trust_env=False) as client,
                client.stream("POST", url, content=body, headers=headers) as response,
            ):
                status = response.status_code
        except (httpx.HTTPError, OSError) as error:
            cause = type(error).__name__
            return HookFailed(f"The webhook at {host} could not be called ({cause}). It is tried again.")
        if 200 <= status < 300:  # noqa: PLR2004 - the class of success, RFC 9110
            return Done()
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirection
            return HookFailed(f"The webhook at {host} answered {status}; redirects are not followed. Give its own URL.")
        return HookFailed(f"The webhook at {host} answered {status}. It is tried again.")

    async def _start(self, action: CallHook, run: TrainingRun) -> Outcome:
        job = hook_job(action, _template(action.hook), run)
        if isinstance(job, str):
            return HookFailed(job)
        try:
            await self.api.create(JOBS, run.metadata.namespace, job, strict=True)
        except WriteConflict:
            return Done()  # the call was made before; its report was lost
        except KubeError as error:
            return HookFailed(str(error))
        return Done()


def signature(key: str, body: bytes) -> str:
    """Returns the value of the signature header: HMAC-SHA256 of the body (RFC 2104), as webhooks commonly have it."""
    return f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"


def _template(hook: Hook) -> dict[str, object]:
    return hook.job.template if hook.job is not None else {}


def _host(url: httpx.URL) -> str:
    """Returns the host as it is looked up, so that what is compared is what is called."""
    return url.raw_host.decode("ascii")


def _parents(host: str) -> tuple[str, ...]:
    labels = host.split(".")
    return tuple(".".join(labels[at:]) for at in range(1, len(labels)))
