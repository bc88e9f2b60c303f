"""What the pages show is tried: each block has its test, and the commands of a cluster run here, as they stand."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.deploy.rendering import by_name
from tests.deploy.test_chart import renderer
from tests.docs.shown_commands import (
    DRAWN,
    ELSE,
    FILES,
    PAGES,
    REPOSITORY,
    SHELLS,
    TRIED,
    WHOLE_PAGES,
    Untried,
    blocks,
    commands,
)
from tests.docs.test_docs import defined

from playground.controlplane import ControlPlane
from playground.crds import apply_crds, checkout_crds
from playground.helm.renderer import Renderer

__all__ = ["renderer"]

OF_A_CLUSTER = (
    ("README.md", "kubectl apply -k"),
    ("README.md", "kubectl create secret"),
    ("docs/argocd.md", "kubectl apply"),
    ("docs/install.md", "kubectl create secret"),
    ("docs/install.md", "kubectl rollout restart"),
    ("docs/upgrade.md", "kubectl apply"),
    ("docs/upgrade.md", "kubectl delete"),
)
"""Commands by page and beginning, in an order in which they can be given."""
MADE = tuple(command for page, start in OF_A_CLUSTER for command in commands(page) if command.startswith(start))


def named_tests() -> Iterator[str]:
    """Yields every test that the registry names."""
    yield from [*WHOLE_PAGES.values(), *ELSE.values(), *FILES.values()]
    for of_page in TRIED.values():
        for tried in of_page.values():
            yield tried.instead if isinstance(tried, Untried) else tried


@pytest.mark.pure
@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_tried_and_nothing_is_named_that_is_not_shown(page: str) -> None:
    """The remedy for a new one: run it in a test, and name that in tests/docs/shown_commands.py."""
    shown = set(commands(page))
    if page in WHOLE_PAGES:
        assert shown, f"{page} shows no command any more"
        assert page not in TRIED
    else:
        assert shown == set(TRIED.get(page, {}))


@pytest.mark.pure
@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_tried(page: str) -> None:
    """YAML by tests/docs/test_manifests.py; the rest by a test of the page."""
    languages = {block.language for block in blocks(page)} - SHELLS - {"yaml"}
    named = {language for where, language in {*ELSE, *DRAWN} if where == page}
    assert languages == named


@pytest.mark.pure
@pytest.mark.parametrize("page", PAGES)
def test_no_fence_is_overlooked(page: str) -> None:
    """Also one that is indented, or has words after its language."""
    fences = re.findall(r"^\s*(?:```|~~~).*$", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(fences) == 2 * len(list(blocks(page)))


@pytest.mark.pure
def test_every_test_that_is_named_exists() -> None:
    told = [name.split("::") for name in named_tests()]
    assert [name for name in told if name[1] not in defined(REPOSITORY / name[0])] == []


@pytest.mark.pure
def test_what_is_not_run_says_why() -> None:
    reasons = [it.why for of_page in TRIED.values() for it in of_page.values() if isinstance(it, Untried)]
    assert [why for why in reasons if not why.endswith(".")] == []


@pytest.mark.pure
@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file of the repository, and to a heading of it."""
    lost = [target for target in links(page) if not leads_somewhere(page, target)]
    assert lost == []


def links(page: str) -> list[str]:
    text = re.sub(r"^( *)```.*?^\1```$", "", (REPOSITORY / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [it for it in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:", it)]


def leads_somewhere(page: str, target: str) -> bool:
    path, _, heading = target.partition("#")
    file = (REPOSITORY / page).parent / path if path else REPOSITORY / page
    if not file.exists() or not heading:
        return file.exists()
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return heading in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.pure
def test_a_link_that_leads_nowhere_is_found() -> None:
    """The law above can fail, by the file and by the heading."""
    assert [
        leads_somewhere("docs/plan.md", it) for it in ("none.md", "plan.md#none", "#a-dump", "plan.md#json-and-yaml")
    ] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.pure
def test_the_front_page_leads_to_every_page() -> None:
    pages = {Path(page).name for page in PAGES if page.startswith("docs/")} - {"README.md"}
    assert {target for target in links("docs/README.md") if "/" not in target} == pages


@pytest.mark.http
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("page", ["README.md", ".github/CONTRIBUTING.md"])
def test_make_has_what_is_shown(page: str) -> None:
    """Each as make understands it, without doing it; the tests of the demonstration and of the bench do."""
    shown = [line for command in commands(page) for line in command.split("   ") if line.strip().startswith("make")]
    assert shown
    for line in shown:
        dry = ["make", "--dry-run", "--always-make", *shlex.split(line.strip())[1:]]
        answer = subprocess.run(dry, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, ""), line
        assert answer.stdout.strip()


@pytest.mark.pure
def test_a_query_asks_for_what_is_told() -> None:
    """Its metrics have their rows on the same page."""
    queries = [block.text for block in blocks("docs/metrics.md") if block.language == "promql"]
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\btinker_operator_\w+", "\n".join(queries))
    }
    rows = re.findall(r"^\| `(\w+)` \|", (REPOSITORY / "docs" / "metrics.md").read_text("utf-8"), flags=re.MULTILINE)
    assert asked
    assert asked <= set(rows)


@pytest.mark.pure
def test_every_command_of_the_cluster_is_given_below() -> None:
    """None is named as tried there that is not."""
    here = "tests/docs/test_shown.py::test_commands_of_the_cluster_do_what_they_say"
    named = [command for page, test in WHOLE_PAGES.items() if test == here for command in commands(page)]
    named += [command for of_page in TRIED.values() for command, test in of_page.items() if test == here]
    assert sorted(MADE) == sorted(named)


@pytest.fixture(scope="module")
def fresh(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster in which nothing is installed."""
    with ControlPlane(tmp_path_factory.mktemp("fresh"), control_plane._binaries) as own:
        yield own


@pytest.mark.cluster
def test_commands_of_the_cluster_do_what_they_say(fresh: ControlPlane) -> None:
    """One after the other on a fresh cluster that has the namespaces of a team and of Argo CD; nothing is left."""
    kubectl = fresh.kubectl
    for name in ("team-math", "argocd"):
        kubectl("create", "namespace", name)
    path = os.pathsep.join([str(kubectl.program.parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "KUBECONFIG": str(kubectl.kubeconfig), "KUBERC": "off"}
    for command in MADE:
        answer = subprocess.run(
            ["bash", "-c", command], cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, f"{command}: {answer.stdout}{answer.stderr}"
        if command.startswith("kubectl rollout restart"):
            deployment = kubectl.json("get", "deployment", "tinker-operator", "-n", "tinker-operator")
            template = deployment["spec"]["template"]
            (container,) = template["spec"]["containers"]
            asked = [one["secretRef"]["name"] for one in container.get("envFrom", []) if "secretRef" in one]
            asked += [it["valueFrom"]["secretKeyRef"]["name"] for it in container["env"] if "secretKeyRef" in str(it)]
            assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
            assert set(asked) == {"tinker-operator"}
    assert kubectl.json("get", "configmap", "argocd-cm", "-n", "argocd")["data"]
    assert kubectl.json("get", "secret", "tinker", "-n", "team-math")["data"].keys() == {"TINKER_API_KEY"}
    assert not [it for it in kubectl("get", "crd", "-o", "name").stdout.split() if it.endswith("tinker-operator.dev")]


@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_the_chart_is_what_the_page_installs(renderer: Renderer, fresh: ControlPlane) -> None:
    """With the folder, the namespace and the setting of the command; a fresh API server takes all that comes of it."""
    (command,) = [one for one in commands("docs/install.md") if one.startswith("helm install")]
    _, _, release, folder, *options = shlex.split(command)
    name, _, value = options[options.index("--set") + 1].partition("=")
    outer, _, inner = name.partition(".")
    namespace = options[options.index("-n") + 1]

    text = renderer(REPOSITORY / folder, namespace, {outer: {inner: value}})

    made = by_name(one for one in yaml.safe_load_all(text) if one)
    deployment = made["Deployment", namespace, release]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].startswith(f"{value}:")
    apply_crds(fresh.kubectl, checkout_crds())
    fresh.kubectl("create", "namespace", namespace, check=False)
    answer = fresh.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
    assert answer.stdout.count("(server dry run)") == len(made)
