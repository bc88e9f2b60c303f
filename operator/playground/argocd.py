"""Writes the ConfigMap that gives Argo CD our health checks and actions, from the files in Argo CD's own layout.

    python -m playground.argocd deploy/argocd [--check]

Argo CD compiles the files in when they are part of its source; everybody else gives them to it as `argocd-cm`. Both
must say the same, so one is made from the other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

GROUP = "tinker-operator.dev"
CONFIG_MAP = "argocd-cm.yaml"
_REMEDY = "Run `make argocd` and commit the result."
_HEAD = f"""\
# Made by `make argocd` from resource_customizations/{GROUP}; edit the files there.
# Merge `data` into the argocd-cm of your Argo CD: a ConfigMap that is applied as it is here keeps its other keys.
"""


class _Script(str):
    """A text that YAML shows line by line."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Shows scripts as block scalars."""


def _represent(dumper: yaml.SafeDumper, text: _Script) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Script, _represent)


def config_map(folder: Path) -> str:
    """Returns the ConfigMap as YAML.

    Args:
        folder: Holds resource_customizations/GROUP/KIND with health.lua and actions/.
    """
    found = {key: _Script(text) for kind in _kinds(folder) for key, text in _customizations(kind)}
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"},
        },
        "data": found,
    }
    return _HEAD + _yaml(manifest)


def _kinds(folder: Path) -> list[Path]:
    return sorted((folder / "resource_customizations" / GROUP).iterdir())


def _customizations(kind: Path) -> Iterator[tuple[str, str]]:
    yield f"resource.customizations.actions.{GROUP}_{kind.name}", _yaml(_actions(kind / "actions"))
    yield f"resource.customizations.health.{GROUP}_{kind.name}", (kind / "health.lua").read_text()


def _actions(folder: Path) -> dict[str, Any]:
    scripts = sorted(folder.glob("*/action.lua"))
    return {
        "discovery.lua": _Script((folder / "discovery.lua").read_text()),
        "definitions": [{"name": it.parent.name, "action.lua": _Script(it.read_text())} for it in scripts],
    }


def _yaml(content: Any) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when the file differs.")
def main(folder: Path, check: bool) -> None:
    """Write FOLDER/argocd-cm.yaml."""
    path, wanted = folder / CONFIG_MAP, config_map(folder)
    if not check:
        path.write_text(wanted, encoding="utf-8")
    elif not path.is_file() or path.read_text(encoding="utf-8") != wanted:
        sys.exit(f"{path} is not what the scripts say. {_REMEDY}")


if __name__ == "__main__":
    main()
