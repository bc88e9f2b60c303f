"""Regenerates the protobuf module from `tinker_public.proto`, or checks that it is up to date.

Run by a person after an edit of the .proto, and with `--check` by continuous integration:

    python -m tinker_operator.tinker.proto.generate [--check]
"""

import sys
import tempfile
from pathlib import Path

import click

PACKAGE = Path(__file__).parent
SOURCE_ROOT = PACKAGE.parents[2]
SOURCE = PACKAGE / "tinker_public.proto"
GENERATED = ("tinker_public_pb2.py", "tinker_public_pb2.pyi")

SHARED_POOL = "_descriptor_pool.Default()"
# The official SDK registers the same `tinker_public` names in protobuf's process-wide pool, which refuses a second
# definition: without a pool of its own, importing this module beside the SDK would fail.
OWN_POOL = "_descriptor_pool.DescriptorPool()"


class GenerationError(Exception):
    """The protobuf compiler could not be run, refused the source, or wrote something unexpected."""


def generate() -> dict[str, str]:
    """Compile the .proto and return the text of each generated file by its name.

    Raises:
        GenerationError: grpcio-tools or mypy-protobuf is missing, or the .proto does not compile.
    """
    try:
        # A development tool without types; the package itself must import without it.
        from grpc_tools import protoc  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as missing:
        raise GenerationError(
            "grpcio-tools is not installed. Install the development extras: pip install -e '.[dev]'."
        ) from missing
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"-I{SOURCE_ROOT}",
            f"--python_out={scratch}",
            f"--mypy_out={scratch}",
            f"--plugin=protoc-gen-mypy={Path(sys.executable).parent / 'protoc-gen-mypy'}",
            str(SOURCE),
        ]
        if protoc.main(arguments) != 0:
            raise GenerationError(f"{SOURCE.name} does not compile. Mend what protoc printed above.")
        folder = Path(scratch) / PACKAGE.relative_to(SOURCE_ROOT)
        return {name: _in_own_pool((folder / name).read_text(encoding="utf-8")) for name in GENERATED}


def outdated(fresh: dict[str, str]) -> tuple[str, ...]:
    """Names of the files beside the .proto that differ from `fresh`, missing ones included."""
    return tuple(name for name, text in fresh.items() if on_disk(name) != text)


def on_disk(name: str) -> str | None:
    """The text of a generated file as it is beside the .proto; None when it is not there."""
    path = PACKAGE / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def _in_own_pool(text: str) -> str:
    return text.replace(SHARED_POOL, OWN_POOL)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 when a generated file is out of date.")
def main(*, check: bool) -> None:
    """Regenerate tinker_public_pb2 from tinker_public.proto."""
    try:
        fresh = generate()
    except GenerationError as failure:
        raise click.ClickException(str(failure)) from failure
    stale = outdated(fresh)
    if check and stale:
        raise click.ClickException(
            f"{', '.join(stale)} out of date. Run: python -m tinker_operator.tinker.proto.generate"
        )
    for name in stale:
        (PACKAGE / name).write_text(fresh[name], encoding="utf-8")
        click.echo(f"wrote {PACKAGE / name}")


if __name__ == "__main__":
    main()
