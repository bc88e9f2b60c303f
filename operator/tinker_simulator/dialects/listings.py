"""Lists that are counted, paged and ordered otherwise, or not at all."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tinker_simulator.answers import JSON
from tinker_simulator.dialects.exchange import Document, Proceed, said_in, saying

_ROWS = ("training_runs", "checkpoints")
_ASKED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Counted:
    """The cursor of a list counts nothing, or is not there.

    Attributes:
        cursor: Whether there is one, whose count is 0.
    """

    cursor: bool

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Take the count away."""
        answer = await proceed(request)
        said = said_in(answer)
        if said is None or "cursor" not in said:
            return answer
        if self.cursor:
            said["cursor"]["total_count"] = 0
        else:
            del said["cursor"]
        return saying(answer, said)


@dataclass(frozen=True, slots=True)
class Paged:
    """Lists come in pages of the server's own size, whatever was asked for.

    Attributes:
        lists: The last words of the paths that this is true of.
        limit: Rows of a page; None gives everything, whatever the offset.
        cursor: Whether the page says where it stands.
        ordered: Whether the rows come in the official order, or in one of their own that never changes.
    """

    lists: frozenset[str]
    limit: int | None
    cursor: bool
    ordered: bool = True

    async def meet(self, proceed: Proceed, request: web.Request) -> web.StreamResponse:
        """Read the official list whole, and give the page of it that this server would."""
        if request.method != "GET" or request.path.rpartition("/")[2] not in self.lists:
            return await proceed(request)
        answer = await _whole(proceed, request)
        if isinstance(answer, web.StreamResponse):
            return answer
        name, rows = answer
        rows = rows if self.ordered else sorted(rows, key=_own_order)
        limit = len(rows) if self.limit is None else self.limit
        offset = 0 if self.limit is None else int(request.query.get("offset", 0))
        page: Document = {name: rows[offset : offset + limit]}
        if self.cursor:
            page["cursor"] = {"offset": offset, "limit": limit, "total_count": len(rows)}
        return web.json_response(page, content_type=JSON)


async def _whole(proceed: Proceed, request: web.Request) -> tuple[str, list[Document]] | web.StreamResponse:
    """Every row of a list under its name, or the refusal."""
    rows: list[Document] = []
    while True:
        query = {**request.query, "limit": str(_ASKED_AT_ONCE), "offset": str(len(rows))}
        answer = await proceed(request.clone(rel_url=request.rel_url.with_query(query)))
        said = said_in(answer)
        if said is None:
            return answer
        name = next(name for name in _ROWS if name in said)
        rows += said[name]
        total = said.get("cursor", {}).get("total_count", len(rows))
        if len(rows) >= total or not said[name]:
            return name, rows


def _own_order(row: Document) -> Any:
    named = {name: row.get(name) for name in ("training_run_id", "tinker_path")}
    return hashlib.sha256(json.dumps(named).encode()).digest()
