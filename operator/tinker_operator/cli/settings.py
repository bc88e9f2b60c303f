"""What the operator is told from outside: the only reader of the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tinker_operator.controllers.accounts import Credentials, normal_url
from tinker_operator.controllers.composition import Deployment

DEFAULT_BASE_URL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
"""Where the official SDK looks for the service when nothing is said."""
_POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class InvalidSettings(ValueError):
    """A setting cannot be used; the message is one line that names it and the remedy."""


class Settings(BaseModel):
    """How the operator runs.

    Attributes:
        kubeconfig: Kubeconfig file; None for KUBECONFIG, ~/.kube/config or the pod's own credentials.
        namespaces: Namespaces to watch; empty for all.
        cluster_id: First part of owner keys; None for the uid of namespace kube-system.
        base_url: Base URL of the operator's own service, and of Secrets that name none.
        api_key: The operator's own key; None when every object brings its own.
        allowed_urls: Further base URLs that a Secret may name.
        lease_namespace: Namespace of the leader-election Lease; None to run without election.
    """

    model_config = ConfigDict(frozen=True)

    kubeconfig: Path | None = None
    namespaces: tuple[str, ...] = ()
    cluster_id: str | None = None
    base_url: str = DEFAULT_BASE_URL
    api_key: SecretStr | None = None
    allowed_urls: tuple[str, ...] = Field(default=())
    lease_namespace: str | None = None

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str],
        *,
        kubeconfig: Path | None,
        namespaces: tuple[str, ...],
        cluster_id: str | None,
        allowed_urls: tuple[str, ...],
        lease_namespace: str | None,
    ) -> Self:
        """Returns the settings from the command line and the environment.

        Raises:
            InvalidSettings: One of them cannot be used.
        """
        base_url = checked_url("TINKER_BASE_URL", environ.get("TINKER_BASE_URL") or DEFAULT_BASE_URL)
        key = (environ.get("TINKER_API_KEY") or "").strip()
        if key and not key.startswith(("tml-", "eyJ")):
            raise InvalidSettings("TINKER_API_KEY does not start with tml- or eyJ: set it to a key of the service")
        if cluster_id is not None and (not cluster_id or "/" in cluster_id or len(cluster_id) > 100):  # noqa: PLR2004
            raise InvalidSettings("--cluster-id must have 1 to 100 characters and no slash: choose a short name")
        return cls(
            kubeconfig=kubeconfig,
            namespaces=namespaces,
            cluster_id=cluster_id,
            base_url=base_url,
            api_key=SecretStr(key) if key else None,
            allowed_urls=tuple(checked_url("--allow-base-url", url) for url in allowed_urls),
            lease_namespace=lease_namespace or pod_namespace(),
        )

    def deployment(self) -> Deployment:
        """Returns the settings in the form that the composition root takes."""
        return Deployment(
            kubeconfig=self.kubeconfig,
            namespaces=self.namespaces,
            cluster_id=self.cluster_id,
            own=Credentials(self.base_url, self.api_key) if self.api_key else None,
            default_url=self.base_url,
            allowed_urls=frozenset({self.base_url, *self.allowed_urls}),
            lease_namespace=self.lease_namespace,
        )


def checked_url(name: str, url: str) -> str:
    """Returns the URL in its normal form.

    Raises:
        InvalidSettings: It is no http(s) URL.
    """
    normal = normal_url(url)
    scheme, _, rest = normal.partition("://")
    if scheme not in {"http", "https"} or not rest or rest.startswith("/"):
        raise InvalidSettings(f"{name} is not an http:// or https:// URL: give the base URL of a Tinker service")
    return normal


def pod_namespace() -> str | None:
    """Returns the namespace of the pod that this runs in, None outside of one."""
    try:
        return _POD_NAMESPACE_FILE.read_text().strip() or None
    except OSError:
        return None
