"""Settings come from the environment once, and what cannot be honoured is refused with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from playground.build import source_folder
from playground.errors import BadSetting, SourceUnavailable
from playground.kubeconfig import token_user, with_user
from playground.published import Release, choose_release
from playground.settings import KUBERNETES_VERSION, Settings
from playground.toolchain import required_version

pytestmark = pytest.mark.pure

ADMIN = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1", certificate-authority-data: Q0E=}}]
users: [{name: admin, user: {client-key-data: c2VjcmV0}}]
contexts: [{name: x, context: {cluster: here, user: admin}}]
current-context: x
"""


def test_nothing_need_be_set() -> None:
    """Without any setting there is a cache of the user's, and it is in no repository."""
    settings = Settings.from_environ({})

    assert settings.cache.name == "tinker-operator"
    assert settings.assets is None
    assert (settings.version, settings.minor) == (KUBERNETES_VERSION, "1.35")


def test_the_environment_is_honoured(tmp_path: Path) -> None:
    """Cache and assets are where the environment says."""
    environ = {"TINKER_OPERATOR_CACHE": "/elsewhere", "KUBEBUILDER_ASSETS": str(tmp_path), "PATH": "/bin"}

    settings = Settings.from_environ(environ)

    assert (settings.cache, settings.assets, settings.search_path) == (Path("/elsewhere"), tmp_path, "/bin")


@pytest.mark.parametrize(
    ("name", "value"),
    [("TINKER_OPERATOR_CACHE", "cache"), ("KUBEBUILDER_ASSETS", "/no/such/folder")],
)
def test_what_cannot_be_honoured_names_the_variable_and_its_value(name: str, value: str) -> None:
    """The message has the name, the value and what to do."""
    with pytest.raises(BadSetting) as refused:
        Settings.from_environ({name: value})

    assert name in refused.value.message
    assert value in refused.value.message
    assert "unset it" in refused.value.remedy


def test_the_sources_of_the_build_are_of_the_version_in_the_settings() -> None:
    """go.mod names the version that the settings name, or the built binary would lie about itself."""
    go_mod = (source_folder() / "go.mod").read_text()

    assert f"k8s.io/kubernetes v{KUBERNETES_VERSION}\n" in go_mod
    assert required_version(go_mod) == (1, 25)


def test_every_module_of_the_build_has_its_checksum() -> None:
    """go.sum ships with go.mod, so no module is taken on trust."""
    sums = (source_folder() / "go.sum").read_text()

    assert f"k8s.io/kubernetes v{KUBERNETES_VERSION} h1:" in sums
    assert f"k8s.io/kubernetes v{KUBERNETES_VERSION}/go.mod h1:" in sums


def test_the_newest_patch_release_is_chosen_by_number() -> None:
    """1.35.10 is newer than 1.35.9, and the order of the index is no order."""
    releases = {
        f"v{version}": {f"envtest-v{version}-linux-amd64.tar.gz": {"hash": f"{index:0128x}", "selfLink": version}}
        for index, version in enumerate(["1.35.9", "1.35.10", "1.35.0", "1.36.1", "1.34.12"])
    }

    chosen = choose_release(yaml.safe_dump({"releases": releases}), Settings(Path("/cache")))

    assert chosen == Release("1.35.10", "1.35.10", f"{1:0128x}")


def test_an_odd_version_in_the_index_is_no_trouble() -> None:
    """A release candidate, or whatever else is listed one day, is passed over."""
    archive = {"envtest-v1.35.0-rc.1-linux-amd64.tar.gz": {"hash": "0" * 128, "selfLink": ""}}

    with pytest.raises(SourceUnavailable, match="lists no archive"):
        choose_release(yaml.safe_dump({"releases": {"v1.35.0-rc.1": archive}}), Settings(Path("/cache")))


def test_a_kubeconfig_for_another_user_keeps_the_cluster_and_drops_the_credentials() -> None:
    """The server and its authority stay; the administrator's key does not."""
    config = yaml.safe_load(with_user(ADMIN, token_user("t0ken"), "math"))

    assert config["clusters"] == yaml.safe_load(ADMIN)["clusters"]
    assert config["users"] == [{"name": "playground", "user": {"token": "t0ken"}}]
    assert config["contexts"][0]["context"] == {"cluster": "here", "user": "playground", "namespace": "math"}
    assert config["current-context"] == config["contexts"][0]["name"]
