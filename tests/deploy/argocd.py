"""Argo CD's health checks and actions, run as Argo CD runs them: Lua 5.1 over the object, and nothing else at hand."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type

FOLDER = Path(__file__).parents[2] / "deploy" / "argocd"
SCRIPTS = FOLDER / "resource_customizations" / "tinker-operator.dev"
HEALTHS = frozenset({"Healthy", "Progressing", "Degraded", "Suspended"})


def run(script: str, obj: Mapping[str, Any]) -> Any:
    """Returns what a script makes of an object; the object itself is not changed."""
    lua, function = _compiled(script)
    return _to_python(function(_to_lua(lua, obj)))


@cache
def _compiled(script: str) -> tuple[Any, Any]:
    lua = LuaRuntime(unpack_returned_tuples=True)
    # Argo CD opens the base library and tables, and lets `require` have a small `os` in actions.
    globals_ = lua.globals()
    for name in ("io", "debug", "dofile", "loadfile", "string", "math", "package", "python"):
        globals_[name] = None
    return lua, lua.execute(f"return function(obj)\n{script}\nend")


def health(kind: str, obj: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the status and the message that Argo CD shows for an object."""
    found = run((SCRIPTS / kind / "health.lua").read_text(), obj)
    return found["status"], found["message"]


def actions(kind: str, obj: Mapping[str, Any]) -> dict[str, bool]:
    """Returns which actions Argo CD offers, each with whether it can be chosen."""
    found = run((SCRIPTS / kind / "actions" / "discovery.lua").read_text(), obj)
    return {name: not one["disabled"] for name, one in found.items()}


def acted(kind: str, action: str, obj: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the object that Argo CD patches the cluster towards."""
    changed = run((SCRIPTS / kind / "actions" / action / "action.lua").read_text(), obj)
    cleaned: dict[str, Any] = _cleaned(changed, obj)
    return cleaned


def as_kstatus(obj: Mapping[str, Any]) -> str:
    """Returns the health that kstatus' reading of the conditions comes to, and Suspended where only suspend holds."""
    status = obj.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    if not conditions or status.get("observedGeneration") != obj["metadata"].get("generation"):
        return "Progressing"
    if conditions.get("Stalled", {}).get("status") == "True":
        return "Degraded"
    ready = conditions["Ready"]
    if ready["status"] == "True":
        return "Healthy"
    return "Suspended" if ready["reason"] == "Suspended" else "Progressing"


def _cleaned(changed: Any, before: Any) -> Any:
    """Lua has one empty table for both, so Argo CD too looks at what it was: an empty list stays one."""
    if changed == {} and before == []:
        return []
    if isinstance(changed, dict) and isinstance(before, Mapping):
        return {key: _cleaned(one, before.get(key)) for key, one in changed.items()}
    if isinstance(changed, list) and isinstance(before, list):
        return [_cleaned(one, old) for one, old in zip(changed, before, strict=True)]
    return changed


def _to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return lua.table_from({key: _to_lua(lua, one) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return lua.table_from([_to_lua(lua, one) for one in value])
    return value


def _to_python(value: Any) -> Any:
    if lua_type(value) != "table":
        return value
    entries = {key: _to_python(one) for key, one in value.items()}
    if entries and list(entries) == list(range(1, len(entries) + 1)):
        return list(entries.values())
    return entries
