"""The command that writes the CustomResourceDefinitions: `python -m tinker_operator.api.crd DIR [--check]`.

`make crds` writes them; the build checks with `--check` that what is committed is what the types say.
"""

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tinker_operator.api.definitions import KINDS, Kind, definition
from tinker_operator.api.schema import SchemaError

REMEDY = "make crds"
DIFF_LINES = 40
"""Lines of a difference that --check shows: enough to see what it is about."""


class _Plain(yaml.SafeDumper):
    """YAML without anchors: kubectl reads them, people do not."""

    def ignore_aliases(self, data: Any) -> bool:
        """Says that nothing is written as a reference."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indents the items of a list below its key."""
        del indentless
        super().increase_indent(flow, indentless=False)


def rendered(kind: Kind) -> str:
    """Returns the text of the kind's file."""
    header = f"# Generated from the types of tinker_operator.api by `{REMEDY}`: edit those.\n"
    body = yaml.dump(definition(kind), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    return header + body


def differences(folder: Path) -> Iterator[str]:
    """Yields, for each file that is not what the types say, its name and the first lines of the difference."""
    for kind in KINDS:
        path = folder / f"{kind.plural}.yaml"
        committed = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = difflib.unified_diff(
            committed.splitlines(), rendered(kind).splitlines(), str(path), "generated from the types", lineterm=""
        )
        shown = list(islice(lines, DIFF_LINES))
        if shown:
            yield "\n".join([f"{path} is not what the types say; run `{REMEDY}` and commit the result:", *shown])


def write(folder: Path) -> None:
    """Writes the file of every kind."""
    for kind in KINDS:
        (folder / f"{kind.plural}.yaml").write_text(rendered(kind), encoding="utf-8")


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; `--help` tells the rest\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="python -m tinker_operator.api.crd", description="Writes the CRDs from the types.")
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of the CRDs, in the repository: crds")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    return parser


def _run(folder: Path, *, check: bool) -> list[str]:
    """Returns what is wrong, one text for each fault."""
    try:
        if check:
            return list(differences(folder))
        write(folder)
    except (SchemaError, OSError) as error:
        return [str(error)]
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, or 1 when --check finds a difference or the types have no schema."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.dir.is_dir():
        parser.error(f"DIR {given.dir} is not a folder; give the folder of the CRDs, for example crds")
    faults = _run(given.dir, check=given.check)
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
