"""Every fenced block of the pages, and the test that tries it: a block that nobody tries fails a law.

A block of commands is judged line by line. Where a test takes all lines of its page, a new line is tried by itself;
any other new line has to be named here. `tests/docs/test_shown.py` has the laws.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = (
    "README.md",
    ".github/CONTRIBUTING.md",
    *sorted(f"docs/{it.name}" for it in (REPOSITORY / "docs").glob("*.md")),
)
SHELLS = frozenset({"sh", "bash", "shell", "console"})
_BLOCK = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: Its page, from the root of the repository.
        language: What stands after the fence; empty for nothing.
        text: What is in it.
    """

    page: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Untried:
    """A command that no test runs as it stands.

    Attributes:
        why: The reason.
        instead: The test of what it relies on.
    """

    why: str
    instead: str


def blocks(page: str) -> Iterator[Block]:
    """Yields the blocks of a page."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for _, language, body in _BLOCK.findall(text):
        yield Block(page, language, body)


def commands(page: str) -> Iterator[str]:
    """Yields the commands of a page without their comments."""
    for block in blocks(page):
        for line in block.text.splitlines() if block.language in SHELLS else ():
            command = line.partition("  #")[0].strip()
            if command and not command.startswith("#"):
                yield command


WHOLE_PAGES: Mapping[str, str] = {
    ".github/CONTRIBUTING.md": "tests/docs/test_shown.py::test_make_has_what_is_shown",
    "docs/argocd.md": "tests/docs/test_shown.py::test_commands_of_the_cluster_do_what_they_say",
    "docs/export.md": "tests/exporter/test_shown.py::test_every_command_of_the_page_sends_the_checkpoint",
    "docs/kubectl.md": "tests/docs/test_kubectl_page.py::test_every_command_of_the_page_does_what_it_should",
    "docs/plan.md": "tests/docs/test_kubectl_page.py::test_every_command_of_the_page_on_plans_plans",
    "docs/recovery.md": "tests/docs/test_recovery_page.py::test_the_command_asks_the_operator_again",
    "docs/simulator.md": "tests/simulator/test_shown.py::test_the_commands_start_a_service_that_the_sdk_asks",
    "docs/upgrade.md": "tests/docs/test_shown.py::test_commands_of_the_cluster_do_what_they_say",
}
"""Pages whose test takes every command of theirs."""

_IMAGE = Untried(
    "There is no container engine here.", "tests/docs/test_install_page.py::test_the_image_is_made_as_the_page_says"
)
_INDEX = Untried(
    "It would install from an index.",
    "tests/docs/test_trainer_page.py::test_the_command_that_installs_names_an_extra_that_there_is",
)
_MAKE = "tests/docs/test_shown.py::test_make_has_what_is_shown"
_CLUSTER = "tests/docs/test_shown.py::test_commands_of_the_cluster_do_what_they_say"

TRIED: Mapping[str, Mapping[str, str | Untried]] = {
    "README.md": {
        "make demo": _MAKE,
        "make demo KEEP=1": _MAKE,
        "make test": _MAKE,
        "make bench": _MAKE,
        "docker build -f deploy/Dockerfile -t tinker-operator:0.1.0 --build-arg DIGEST=sha256:... .": _IMAGE,
        "kubectl apply -k deploy/overlays/cluster-wide": _CLUSTER,
        "kubectl create secret generic tinker -n team-math --from-literal=TINKER_API_KEY=tml-...": _CLUSTER,
    },
    "docs/client.md": {"pip install tinker-operator": _INDEX},
    "docs/install.md": {
        "docker build -f deploy/Dockerfile -t images.example/tinker-operator:0.1.0 "
        "--build-arg DIGEST=sha256:... .": _IMAGE,
        "docker push images.example/tinker-operator:0.1.0": _IMAGE,
        "helm install tinker-operator deploy/helm -n tinker-operator --create-namespace "
        "--set image.repository=images.example/tinker-operator": "tests/docs/test_shown.py::"
        "test_the_chart_is_what_the_page_installs",
        "kubectl create secret generic tinker-operator -n tinker-operator "
        "--from-literal=TINKER_API_KEY=tml-...": _CLUSTER,
        "kubectl rollout restart deployment/tinker-operator -n tinker-operator": _CLUSTER,
    },
    "docs/traces.md": {
        "pip install 'tinker-operator[traces]'": _INDEX,
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 tinker-operator run": "tests/e2e/"
        "test_traces.py::test_a_recovery_is_a_trace_of_rounds_with_their_requests",
    },
    "docs/trainer.md": {
        "pip install 'tinker-operator[trainer]'": _INDEX,
        "TINKER_OPERATOR_HANDOVER=handover.json python sft.py examples.jsonl --steps 30": "tests/docs/"
        "test_trainer_page.py::test_the_command_with_a_plain_file_resumes_from_it",
    },
}
"""Commands of the other pages."""

ELSE: Mapping[tuple[str, str], str] = {
    ("README.md", "python"): "tests/docs/test_docs.py::test_the_loop_of_the_readme_compiles_and_imports_what_there_is",
    ("docs/client.md", "python"): "tests/docs/test_client_page.py::test_every_block_runs_one_after_the_other",
    ("docs/metrics.md", "promql"): "tests/docs/test_shown.py::test_a_query_asks_for_what_is_told",
    ("docs/plan.md", "text"): "tests/docs/test_plan_page.py::test_every_fate_has_its_row_in_the_words_of_the_table",
    ("docs/trainer.md", "json"): "tests/docs/test_trainer_page.py::"
    "test_the_document_is_one_and_every_field_of_it_is_read",
    ("docs/trainer.md", "python"): "tests/docs/test_trainer_page.py::test_a_program_of_the_page_trains_and_saves",
}
"""Blocks that are neither commands nor YAML, by page and language."""

DRAWN = frozenset({("README.md", "")})
"""Blocks that are pictures."""

FILES: Mapping[str, str] = {
    "kustomization.yaml": "tests/docs/test_install_page.py::test_the_overlay_of_the_page_names_image_and_options",
}
"""YAML that is no object of Kubernetes: its first line is a comment with the file's name."""
