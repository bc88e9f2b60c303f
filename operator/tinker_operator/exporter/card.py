"""The model card of an export on the Hub: what the Hub files it under, and how it is loaded."""

import json
from typing import Final

from tinker_operator.api.export_spec import ExportFormat
from tinker_operator.exporter.manifest import Manifest

CARD: Final = "README.md"
_TAGS: Final = ("lora", "tinker")
_LIBRARIES: Final = {ExportFormat.GGUF: "gguf"}


def card(manifest: Manifest, repo: str) -> str:
    """Give the card, in the form that the Hub reads: YAML between two lines, then Markdown.

    Args:
        manifest: Of the export.
        repo: The repository.
    """
    base_model = [] if manifest.base_model is None else [f"base_model: {json.dumps(manifest.base_model)}"]
    lines = [
        "---",
        *base_model,
        f"library_name: {_LIBRARIES.get(manifest.format, 'peft')}",
        "tags:",
        *(f"- {tag}" for tag in _TAGS),
        "---",
        "",
        f"# {repo}",
        "",
        "A LoRA adapter that was trained with Tinker. `tinker-export.json` holds what it was exported from, and the",
        "SHA-256 of each file.",
        "",
    ]
    return "\n".join(lines)
