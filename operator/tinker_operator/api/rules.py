"""Rules of the API server in words: CEL with a message of ours, where the server's own words do not tell the remedy.

The types use it; the CRD generator copies what it leaves in the JSON schema.
"""

from collections.abc import Callable, Mapping
from typing import Any

VALIDATIONS = "x-kubernetes-validations"
"""Keyword of a structural schema that holds CEL rules."""


def rule(expression: str, message: str, *, path: str | None = None) -> dict[str, Any]:
    """Returns one CEL rule.

    Args:
        expression: CEL that is true when the value is acceptable; `self` is the value, `oldSelf` the one before.
        message: What is wrong and what to do, with the field's name.
        path: Field below the value that the error points at, for example `.checkpoint`; default the value itself.
    """
    return {"rule": expression, "message": message} | ({"fieldPath": path} if path else {})


def rules(*given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the json_schema_extra that carries these rules."""
    return {VALIDATIONS: list(given)}


def pattern_in_words(message: str) -> Callable[[dict[str, Any]], None]:
    """Returns the json_schema_extra that turns a string's `pattern` into a rule with this message.

    The server's message for a pattern is the regular expression, which tells nobody what to write.
    """

    def replace(schema: dict[str, Any]) -> None:
        pattern = schema.pop("pattern")
        schema[VALIDATIONS] = [rule(f"self.matches(r'{pattern}')", message)]

    return replace


def keys_in_words(*given: Mapping[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Returns the json_schema_extra that replaces the bounds of a map's keys, which a structural schema cannot say."""

    def replace(schema: dict[str, Any]) -> None:
        schema.pop("propertyNames", None)
        schema[VALIDATIONS] = list(given)

    return replace


def required_in_words(field: str, message: str) -> Callable[[dict[str, Any]], None]:
    """Returns the json_schema_extra of an object that asks for a field by a rule with this message.

    For a field where `Required value` leaves open what to write. The server skips all rules while a required field is
    missing, so the field leaves `required`.
    """

    def replace(schema: dict[str, Any]) -> None:
        others = [name for name in schema.pop("required") if name != field]
        schema.update({"required": others} if others else {})
        schema[VALIDATIONS] = [rule(f"has(self.{field})", message)]

    return replace


def map_by(key: str) -> dict[str, Any]:
    """Returns the json_schema_extra of a list whose entries are told apart by this key, so that it merges as a map."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
