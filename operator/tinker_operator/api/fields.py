"""The fields of a structural schema in words: type, default, limits and meaning of each, and what is refused.

The command that writes docs/reference.md calls it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinker_operator.api.rules import VALIDATIONS
from tinker_operator.api.schema import Schema

BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)
"""Keywords of the least and the most of something, and what it is counted in."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field, each part in words that a table can hold.

    Attributes:
        path: Its place, with dots; `[]` for the items of a list, `{}` for the values of a map.
        type: What it holds.
        default: What holds when it is left out, or that it is required.
        limits: What it must keep to; empty for nothing.
        meaning: Its description.
    """

    path: str
    type: str
    default: str
    limits: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rule of the API server.

    Attributes:
        path: Where it is looked at.
        message: What is wrong and what to do, as it is told.
    """

    path: str
    message: str


def fields_of(schema: Schema, path: str) -> Iterator[Field]:
    """Yields every field below a schema, each before those within it.

    Args:
        schema: A structural schema.
        path: Where it is.
    """
    for name, below in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        default = "required" if _is_required(schema, name) else _default(below)
        yield Field(here, _type(below), default, _limits(below), below["description"])
        yield from _within(below, here)


def _within(schema: Schema, path: str) -> Iterator[Field]:
    yield from fields_of(schema, path)
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from _within(schema[keyword], path + mark)


def refusals_of(schema: Schema, path: str) -> Iterator[Refusal]:
    """Yields every rule of a schema and of what is below it."""
    for rule in schema.get(VALIDATIONS, []):
        yield Refusal(path + rule.get("fieldPath", ""), rule["message"])
    for name, below in schema.get("properties", {}).items():
        yield from refusals_of(below, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if keyword in schema:
            yield from refusals_of(schema[keyword], path + mark)


def _is_required(schema: Schema, name: str) -> bool:
    """By the keyword, or by the rule that stands in for it where the server's own words would not tell the remedy."""
    rules = (rule["rule"] for rule in schema.get(VALIDATIONS, []))
    return name in schema.get("required", []) or f"has(self.{name})" in rules


def _type(schema: Schema) -> str:
    match schema:
        case {"items": inner}:
            return f"list of {_type(inner)}"
        case {"additionalProperties": inner}:
            return f"map of {_type(inner)}"
        case {"format": "date-time"}:
            return "time"
        case {"x-kubernetes-preserve-unknown-fields": True}:
            return "any object"
        case _:
            return str(schema["type"])


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    return "as its fields" if isinstance(schema["default"], dict) else f"`{json.dumps(schema['default'])}`"


def _limits(schema: Schema) -> str:
    own = [_between(schema.get(least), schema.get(most), unit) for least, most, unit in BOUNDS]
    words = [f"one of {', '.join(f'`{value}`' for value in schema['enum'])}"] if "enum" in schema else []
    inner = schema.get("items", schema.get("additionalProperties"))
    each = _limits(inner) if inner else ""
    return "; ".join([*filter(None, own), *words, *([f"each {each}"] if each else [])])


def _between(least: Any, most: Any, unit: str) -> str:
    if least is None:
        return "" if most is None else f"at most {most}{unit}"
    return f"at least {least}{unit}" if most is None else f"{least} to {most}{unit}"
