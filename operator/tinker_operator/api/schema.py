"""From a pydantic type to a Kubernetes structural schema; the CRD generator calls it.

A structural schema has no references, no titles and no null; every value has one type. What cannot be said in it
stops the generation instead of being left out, since a rule that is silently dropped is believed to hold.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

INT32_MAX = 2**31 - 1

COPIED = (
    "description",
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
)
"""Keywords that mean the same on both sides, in the order of reading."""
REWRITTEN = frozenset(
    {"title", "$ref", "$defs", "anyOf", "const", "default", "properties", "items", "additionalProperties"}
)
EXTENSION = "x-kubernetes-"


class SchemaError(Exception):
    """A type says something that a structural schema cannot; the message names the field and what to change."""


def structural_schema(model: type[BaseModel], *, defaults: bool) -> Schema:
    """Returns the structural schema of a type, every reference inlined.

    Args:
        model: The type; its fields need descriptions.
        defaults: Whether the API server fills in the defaults. For spec it does, so that users see what holds. For
            status it must not: status is what the operator wrote and nothing else.

    Raises:
        SchemaError: A field has no description, or a keyword that a structural schema cannot hold.
    """
    document = model.model_json_schema(by_alias=True)
    return _Inliner(document.get("$defs", {}), defaults=defaults).node(document, model.__name__)


class _Inliner:
    """Rewrites one JSON schema whose definitions are at hand."""

    def __init__(self, definitions: Mapping[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def node(self, schema: Schema, where: str) -> Schema:
        """Returns the structural form of one schema; `where` names it in errors."""
        whole = _one_type(self._resolved(schema, where), where)
        _refuse_unknown(whole, where)
        return _said(whole, where) | self._default(whole) | _extensions(whole) | self._children(whole, where)

    def _resolved(self, schema: Schema, where: str) -> Schema:
        """Follows references and optional types; what stands beside them wins, as the field's own description does."""
        outer = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf"}}
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            return self._resolved(self._definitions[name], where) | outer
        if "anyOf" in schema:
            inner = [option for option in schema["anyOf"] if option.get("type") != "null"]
            if len(inner) != 1:
                raise SchemaError(f"{where}: a union of several types has no structural schema; give it one type")
            return self._resolved(inner[0], where) | outer
        return schema

    def _default(self, schema: Schema) -> Schema:
        default = schema.get("default")
        return {"default": _without_null(default)} if self._defaults and default is not None else {}

    def _children(self, schema: Schema, where: str) -> Schema:
        children: Schema = {}
        if "properties" in schema:
            fields = schema["properties"].items()
            children["properties"] = {name: self._field(field, f"{where}.{name}") for name, field in fields}
        if "items" in schema:
            children["items"] = self.node(schema["items"], f"{where}[]")
        if "additionalProperties" in schema:
            children["additionalProperties"] = self.node(schema["additionalProperties"], f"{where}{{}}")
        return children

    def _field(self, schema: Schema, where: str) -> Schema:
        field = self.node(schema, where)
        if not field.get("description"):
            raise SchemaError(f"{where}: no description; give Field(description=...), which kubectl explain shows")
        return field


def _one_type(schema: Schema, where: str) -> Schema:
    if "const" in schema:
        schema = schema | {"enum": [schema["const"]]}
    if not isinstance(schema.get("type"), str):
        raise SchemaError(f"{where}: a structural schema gives every value one type; annotate it with one")
    return schema


def _refuse_unknown(schema: Schema, where: str) -> None:
    unknown = sorted(key for key in schema if key not in {*COPIED, *REWRITTEN} and not key.startswith(EXTENSION))
    if unknown:
        raise SchemaError(f"{where}: no structural form of {', '.join(unknown)}; say it as a rule of api/rules.py")


def _said(schema: Schema, where: str) -> Schema:
    if not schema.get("description", "absent").strip():
        raise SchemaError(f"{where}: an empty description; say what the field means")
    whole = schema | _one_line(schema) | _integer_format(schema)
    return {key: whole[key] for key in COPIED if key in whole}


def _one_line(schema: Schema) -> Schema:
    return {"description": " ".join(schema["description"].split())} if "description" in schema else {}


def _integer_format(schema: Schema) -> Schema:
    if schema["type"] != "integer":
        return {}
    return {"format": "int32" if schema.get("maximum", INT32_MAX + 1) <= INT32_MAX else "int64"}


def _extensions(schema: Schema) -> Schema:
    return {key: schema[key] for key in sorted(schema) if key.startswith(EXTENSION)}


def _without_null(default: Any) -> Any:
    """An absent field is left out of an object's default: the API server has no null."""
    if not isinstance(default, dict):
        return default
    return {key: _without_null(value) for key, value in default.items() if value is not None}
