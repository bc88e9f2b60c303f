"""The API server, as far as the operator needs it: the only writer of anything in the cluster.

Controllers read and write through it, the resync lists through it, and the recorder and the lease are built on it.
Every call asks once; what to do about an error is for the caller, which as a rule is the work queue's back-off.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tinker_operator.engine.credentials import credentials_invalid, load_credentials
from tinker_operator.engine.keys import KubeObject, ObjectKey, Resource
from tinker_operator.engine.kube_errors import Access
from tinker_operator.engine.objects import FIELD_MANAGER, ObjectApi
from tinker_operator.engine.transport import APPLY_PATCH, MERGE_PATCH, Transport

ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace")
SECRETS = Resource("", "v1", "secrets", "Secret")


class KubeApi(ObjectApi):
    """A typed client of one API server; an async context manager, or `close` it.

    Args:
        transport: How to reach it.
    """

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """A client with the credentials of a kubeconfig or of the pod's service account. Sends nothing yet.

        Args:
            kubeconfig: As for `load_credentials`.
            context: As for `load_credentials`.

        Raises:
            CredentialsInvalid: There are none, or they cannot be used.
        """
        credentials = await load_credentials(kubeconfig, context=context)
        try:
            return cls(Transport(credentials))
        except (OSError, ValueError) as fault:  # ssl's own errors are of the former kind
            what = "its certificate authority, client certificate or client key is not valid PEM"
            raise credentials_invalid(kubeconfig, f"cannot be used: {what} ({type(fault).__name__})") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def patch_status(
        self, resource: Resource, key: ObjectKey, status: Mapping[str, object], resource_version: str
    ) -> KubeObject:
        """Merge into an object's status, if the object is still at the version the decision was taken on.

        Give the result to `Store.apply`, so that its echo on the watch is no news.

        Args:
            resource: Its kind.
            key: Which object.
            status: A JSON merge patch of `status`: lists are replaced, None removes a key, what is not named stays.
            resource_version: That of the object the decision was taken on.

        Returns:
            The object as stored.

        Raises:
            WriteConflict: It changed since.
            ObjectGone: It was deleted since.
            KubeError: As for any request.
        """
        access = Access("patch", resource.group, f"{resource.plural}/status", key.namespace, key.name)
        return await self._transport.request(
            access,
            "PATCH",
            resource.path(key.namespace, key.name, "status"),
            query={"fieldManager": FIELD_MANAGER},
            body={"metadata": {"resourceVersion": resource_version}, "status": dict(status)},
            content_type=MERGE_PATCH,
        )

    async def patch_finalizers(
        self, resource: Resource, key: ObjectKey, finalizers: Sequence[str], resource_version: str
    ) -> KubeObject:
        """Replace an object's finalizers, if the object is still at the version the decision was taken on.

        Args:
            resource: Its kind.
            key: Which object.
            finalizers: All of them.
            resource_version: That of the object the decision was taken on.

        Raises:
            WriteConflict: It changed since.
            ObjectGone: It was deleted since.
            KubeError: As for any request.
        """
        access = Access("patch", resource.group, resource.plural, key.namespace, key.name)
        return await self._transport.request(
            access,
            "PATCH",
            resource.path(key.namespace, key.name),
            query={"fieldManager": FIELD_MANAGER},
            body={"metadata": {"resourceVersion": resource_version, "finalizers": list(finalizers)}},
            content_type=MERGE_PATCH,
        )

    async def get_secret(self, namespace: str, name: str) -> dict[str, str] | None:
        """The decoded entries of a Secret, or None when there is none. Entries that are not UTF-8 are left out.

        Args:
            namespace: Where.
            name: Its name.

        Raises:
            KubeError: As for any request.
        """
        secret = await self.get_object(SECRETS, namespace, name)
        if secret is None:
            return None
        decoded = ((key, _text(value)) for key, value in (secret.get("data") or {}).items())
        return {key: text for key, text in decoded if text is not None}

    async def get_config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """The entries of a ConfigMap, or None when there is none.

        Args:
            namespace: Where.
            name: Its name.

        Raises:
            KubeError: As for any request.
        """
        config_map = await self.get_object(CONFIG_MAPS, namespace, name)
        return None if config_map is None else dict(config_map.get("data") or {})

    async def apply_config_map(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        owner_reference: Mapping[str, object],
        labels: Mapping[str, str],
        *,
        resource_version: str | None = None,
    ) -> KubeObject:
        """Make a ConfigMap have these entries, by server-side apply; entries of other managers stay.

        Args:
            namespace: Where.
            name: Its name.
            data: Our entries; one that was ours and is not named any more is removed.
            owner_reference: The object it belongs to, with which it is garbage-collected.
            labels: Our labels.
            resource_version: Write only if it is still at this version; None to write whatever it is.

        Returns:
            The ConfigMap as stored.

        Raises:
            WriteConflict: It is at another version.
            ObjectGone: The namespace is gone.
            KubeError: As for any request.
        """
        access = Access("patch", "", "configmaps", namespace, name)
        body = config_map(namespace, name, data, owner_reference, labels)
        if resource_version is not None:
            body["metadata"]["resourceVersion"] = resource_version
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = CONFIG_MAPS.path(namespace, name)
        return await self._transport.request(access, "PATCH", path, query=query, body=body, content_type=APPLY_PATCH)

    async def may(self, access: Access) -> bool:
        """Whether we have leave for something, as the API server's own authorizer sees it now.

        Args:
            access: What for.

        Raises:
            KubeError: As for any request.
        """
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "resource": access.resource,
            "namespace": access.namespace or "",
            "name": access.name or "",
        }
        review = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"resourceAttributes": attributes},
        }
        asked = Access("create", ACCESS_REVIEWS.group, ACCESS_REVIEWS.plural)
        answer = await self._transport.request(asked, "POST", ACCESS_REVIEWS.path(), body=review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def kube_system_uid(self) -> str:
        """The uid of namespace `kube-system`: what is customarily taken as the identity of a cluster.

        Raises:
            KubeError: As for any request; `ObjectGone` when there is no such namespace.
        """
        access = Access("get", "", "namespaces", None, "kube-system")
        answer = await self._transport.request(access, "GET", NAMESPACES.path(name="kube-system"))
        return str(answer["metadata"]["uid"])


def config_map(
    namespace: str, name: str, data: Mapping[str, str], owner_reference: Mapping[str, object], labels: Mapping[str, str]
) -> KubeObject:
    """A ConfigMap of ours, to be created or applied.

    Args:
        namespace: Where.
        name: Its name.
        data: Its entries.
        owner_reference: The object it belongs to.
        labels: Its labels.
    """
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {**metadata, "ownerReferences": [dict(owner_reference)]},
        "data": dict(data),
    }


def _text(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded).decode()
    except UnicodeDecodeError:
        return None
