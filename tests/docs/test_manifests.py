"""Every YAML block of the pages is what the API server takes: strictly, then really, each in a namespace of its own."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.docs.shown_commands import FILES, PAGES, Block, blocks

from playground.kubectl import Kubectl

BLOCKS = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]
STRICT = ("--server-side", "--dry-run=server", "--validate=strict", "--field-manager=reader")


def file_of(block: Block) -> str | None:
    """Returns the name of the file that a block is, if its first line says so: then it is no object of Kubernetes."""
    named = re.match(r"# ([\w.-]+\.ya?ml)\n", block.text)
    return named[1] if named else None


def shown() -> Iterator[Any]:
    for number, block in enumerate(one for one in BLOCKS if file_of(one) is None):
        first = yaml.safe_load_all(block.text).__next__()
        yield pytest.param(block, id=f"{number} {block.page} {first['metadata']['name']}")


@pytest.mark.pure
def test_a_file_that_is_no_object_is_tried_by_a_test_of_its_own() -> None:
    assert {name for block in BLOCKS if (name := file_of(block))} == set(FILES)


@pytest.mark.cluster
@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("block", [*shown()])
def test_every_manifest_is_taken(block: Block, kubectl: Kubectl, namespace: str) -> None:
    """First field by field, by a server that refuses what it does not know; then as a person applies it."""
    objects = list(yaml.safe_load_all(block.text))
    for one in objects:
        one["metadata"].pop("namespace", None)
    text, here = yaml.safe_dump_all(objects), f"--namespace={namespace}"

    dry = kubectl("apply", *STRICT, here, "-f", "-", stdin=text)
    made = kubectl("apply", here, "-f", "-", stdin=text)

    assert dry.stderr == ""
    assert dry.stdout.count("(server dry run)") == made.stdout.count(" created") == len(objects)


@pytest.mark.cluster
@pytest.mark.usefixtures("crds")
def test_a_field_that_there_is_not_is_refused(kubectl: Kubectl, namespace: str) -> None:
    """The law above can fail."""
    text = BLOCKS[0].text.replace("spec:\n", "spec:\n  keepAll: true\n", 1)
    answer = kubectl("apply", *STRICT, f"--namespace={namespace}", "-f", "-", stdin=text, check=False)
    assert "keepAll" in answer.stderr
