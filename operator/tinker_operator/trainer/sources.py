"""Where a hand-over is read from: a mounted file, a ConfigMap, or nowhere.

`source_from` is the front door; a training loop names a place by TINKER_OPERATOR_HANDOVER and cares no further.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from tinker_operator.trainer.errors import (
    HandOverForbidden,
    HandOverMalformed,
    HandOverUnreadable,
    SettingInvalid,
)
from tinker_operator.trainer.handover import KEY, HandOver

ENVIRONMENT: Final = "TINKER_OPERATOR_HANDOVER"
"""Names the place of the hand-over. Empty: no operator looks after the loop."""

ATTEMPT: Final = "TINKER_OPERATOR_ATTEMPT"
"""The attempt that the operator started this pod for; set in the pods of its Jobs and nowhere else."""

MOUNTED: Final = Path("/etc/tinker-operator/handover.json")
"""Where the hand-over is looked for when TINKER_OPERATOR_HANDOVER is not set."""

_CONNECT_AND_READ_SECONDS: Final = (5.0, 15.0)
_LOOKS_AT_A_SWAP: Final = 3
_NOT_FOUND: Final = 404
_REFUSED: Final = (401, 403)


class HandOverSource(Protocol):
    """A place that may hold a hand-over. `str()` of it names the place in messages."""

    def read(self) -> HandOver | None:
        """The hand-over as it stands now, or None while there is none.

        Raises:
            HandOverUnreadable: When the place does not answer.
            HandOverForbidden: When reading is not allowed.
            HandOverMalformed: When something else lies there.
            HandOverVersionUnknown: When a newer operator wrote it.
        """


@dataclass(frozen=True, slots=True)
class NoHandOver:
    """The place of a loop that no operator looks after: there never is a hand-over."""

    def read(self) -> HandOver | None:
        """None, always."""
        return None

    def __str__(self) -> str:
        return "nowhere"


@dataclass(frozen=True, slots=True)
class FileHandOver:
    """A file, or a directory that holds `handover.json` (a mounted ConfigMap).

    Attributes:
        path: The file or the directory; neither has to exist yet.
    """

    path: Path

    def read(self) -> HandOver | None:
        """The document in the file, or None while there is no such file."""
        text = self._text()
        return None if text is None else HandOver.parse(text, place=str(self))

    def __str__(self) -> str:
        return str(self.path)

    def _text(self) -> str | None:
        # The kubelet swaps a mounted ConfigMap by renaming a symlink and then deletes the old directory: a file can
        # vanish between resolving its name and opening it, and is there again under the same name at the next look.
        for _ in range(_LOOKS_AT_A_SWAP):
            try:
                return self._file().read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            except UnicodeDecodeError as error:
                raise HandOverMalformed(
                    f"What lies in {self} is not UTF-8 text.", remedy=f"Point {ENVIRONMENT} at the hand-over's file."
                ) from error
            except OSError as error:
                raise HandOverUnreadable(
                    f"The hand-over in {self} cannot be read: {error.strerror}.",
                    remedy="Mount the hand-over's ConfigMap so that the training loop's user may read it.",
                ) from error
        return None

    def _file(self) -> Path:
        return self.path / KEY if self.path.is_dir() else self.path


class ConfigMapApi(Protocol):
    """The one call made to the API server; `kubernetes.client.CoreV1Api` has it."""

    def read_namespaced_config_map(
        self, name: str, namespace: str, *, _request_timeout: tuple[float | int, float | int] | None = ...
    ) -> Any:
        """The ConfigMap; raises `kubernetes.client.ApiException` for every other answer."""


class ConfigMapHandOver:
    """A ConfigMap, read from the API server with a single `get`.

    Credentials are those of KUBECONFIG when it is set, else of the pod's service account, else of ~/.kube/config.

    Attributes:
        namespace: Namespace of the ConfigMap.
        name: Name of the ConfigMap, `<trainingrun>-handover`.
    """

    def __init__(self, namespace: str, name: str, *, api: ConfigMapApi | None = None) -> None:
        self.namespace = namespace
        self.name = name
        self._api = api

    def read(self) -> HandOver | None:
        """The document in the ConfigMap, or None while the ConfigMap or its key does not exist."""
        text = self._text()
        return None if text is None else HandOver.parse(text, place=str(self))

    def __str__(self) -> str:
        return f"configmap://{self.namespace}/{self.name}"

    def _connected(self) -> ConfigMapApi:
        # At the first look and not before: a loop whose cluster is away for a moment must still start.
        if self._api is None:
            self._api = _connect()
        return self._api

    def _text(self) -> str | None:
        from kubernetes.client import ApiException  # noqa: PLC0415  # half a second only this source has to pay
        from urllib3.exceptions import HTTPError  # noqa: PLC0415  # comes with the client

        try:
            found = self._connected().read_namespaced_config_map(
                self.name, self.namespace, _request_timeout=_CONNECT_AND_READ_SECONDS
            )
        except ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise self._refused(error.status, str(error.reason)) from error
        except HTTPError as error:
            raise self._silent(type(error).__name__) from error
        data: Mapping[str, str] = found.data or {}
        return data.get(KEY)

    def _refused(self, status: int | None, reason: str) -> HandOverForbidden | HandOverUnreadable:
        if status in _REFUSED:
            return HandOverForbidden(
                f"The API server does not let this training loop read {self} ({status} {reason}).",
                remedy=f"Give its service account a Role in {self.namespace} that allows the verb get on configmaps, "
                f"resourceNames [{self.name}], and a RoleBinding to it.",
            )
        return self._silent(f"{status} {reason}")

    def _silent(self, why: str) -> HandOverUnreadable:
        return HandOverUnreadable(
            f"The API server did not give {self}: {why}.",
            remedy="Look at the API server and at the network between it and the training loop.",
        )


def _connect() -> ConfigMapApi:
    from kubernetes import client, config  # noqa: PLC0415  # half a second only a ConfigMap source has to pay

    settings = client.Configuration()
    try:
        # Named here because the client itself looks at KUBECONFIG only once, when it is imported.
        files = os.environ.get("KUBECONFIG")
        if not files and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # has no types
        else:
            config.load_kube_config(files or None, client_configuration=settings)  # type: ignore[no-untyped-call]  # has no types
    except (config.ConfigException, OSError) as error:
        raise HandOverUnreadable(
            f"There are no credentials for the API server: {str(error).rstrip('.')}.",
            remedy="Run the loop in a pod with a service account, set KUBECONFIG, or mount the ConfigMap as a file.",
        ) from error
    return client.CoreV1Api(client.ApiClient(settings))


def source_from(
    text: str | None = None, *, environ: Mapping[str, str] = os.environ, mounted: Path = MOUNTED
) -> HandOverSource:
    """The source that a text names: `configmap://namespace/name`, `file:///path` or a bare path.

    Args:
        text: The place; None takes it from TINKER_OPERATOR_HANDOVER. An empty one says that no operator looks after
            the loop, and the source is `NoHandOver`.
        environ: The environment to look in.
        mounted: The place where that variable is not set. It counts in a pod that the operator started, or when it
            exists; else the source is `NoHandOver`.

    Raises:
        SettingInvalid: When the text names no place.
    """
    place = _named(environ, mounted) if text is None else text
    if not place.strip():
        return NoHandOver()
    if "://" not in place:
        return FileHandOver(Path(place))
    parts = urlsplit(place)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return FileHandOver(Path(unquote(parts.path)))
    name = parts.path.strip("/")
    if parts.scheme == "configmap" and parts.netloc and name and "/" not in name:
        return ConfigMapHandOver(parts.netloc, name)
    raise SettingInvalid(
        f"{place!r} names no place for a hand-over.",
        remedy=f"Set {ENVIRONMENT} to configmap://NAMESPACE/NAME, file:///PATH or a path.",
    )


def _named(environ: Mapping[str, str], mounted: Path) -> str:
    given = environ.get(ENVIRONMENT)
    if given is not None:
        return given
    return str(mounted) if ATTEMPT in environ or mounted.exists() else ""
