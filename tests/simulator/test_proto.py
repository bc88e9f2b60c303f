"""The protobuf module: up to date with its source, the official one on the wire, and at peace with it."""

import subprocess
import sys

import pytest
from tinker.proto import tinker_public_pb2 as official

from tinker_operator.tinker.proto import generate
from tinker_operator.tinker.proto import tinker_public_pb2 as ours

MESSAGES = sorted(ours.DESCRIPTOR.message_types_by_name)


@pytest.mark.http  # the compiler starts a process
def test_the_generated_module_is_up_to_date() -> None:
    """Run `python -m tinker_operator.tinker.proto.generate` when this fails."""
    assert generate.outdated(generate.generate()) == ()


@pytest.mark.pure
def test_a_generated_file_that_differs_is_named() -> None:
    """The check fails for an edit of either file."""
    fresh = {name: generate.on_disk(name) or "" for name in generate.GENERATED}

    assert generate.outdated(fresh) == ()
    assert generate.outdated({**fresh, "tinker_public_pb2.pyi": "edited"}) == ("tinker_public_pb2.pyi",)
    assert generate.outdated({"missing_pb2.py": ""}) == ("missing_pb2.py",)


@pytest.mark.pure
@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_is_the_official_one(message: str) -> None:
    """Number, type, label and name."""

    def fields(module: object) -> list[tuple[object, ...]]:
        descriptor = getattr(module, message).DESCRIPTOR
        return [(field.number, field.name, field.type, field.is_repeated) for field in descriptor.fields]

    assert fields(ours) == fields(official)


@pytest.mark.http  # each order needs a process of its own
def test_both_modules_live_in_one_process_in_either_order() -> None:
    """They register the same names; each in a pool of its own."""
    both = ("tinker.proto.tinker_public_pb2", "tinker_operator.tinker.proto.tinker_public_pb2")
    for order in (both, both[::-1]):
        script = "; ".join(f"import {name}" for name in order)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
