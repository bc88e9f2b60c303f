"""Who is spoken to in which dialects, and the middleware that speaks them."""

from collections.abc import Iterable
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tinker_simulator.dialects.catalogue import DIALECTS
from tinker_simulator.dialects.exchange import API, Dialect, Proceed, answered
from tinker_simulator.settings import SettingError
from tinker_simulator.simulation import Simulation


class DialectBook:
    """The dialects in use.

    Args:
        wanted: `NAME` for everybody or `NAME@KEY` for one key each; the first one is the outermost.
        keys: The keys that are let in.

    Raises:
        SettingError: There is no such dialect, or no such key.
    """

    def __init__(self, wanted: Iterable[str], keys: Iterable[str]) -> None:
        self._wanted = [_entry(text, frozenset(keys)) for text in wanted]

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def spoken_to(self, key: str | None) -> tuple[str, ...]:
        """The names of the dialects that a key is spoken to in, outermost first."""
        return tuple(name for name, only in self._wanted if only in {"", key})


def spoken(book: DialectBook, simulation: Simulation) -> Middleware:
    """A middleware that speaks them: to be the innermost, right before the routes."""
    made: dict[str | None, tuple[Dialect, ...]] = {}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        key = request.headers.get("X-API-Key")
        if key not in made:
            made[key] = tuple(DIALECTS[name].make(simulation) for name in book.spoken_to(key))
        if not made[key] or not request.path.startswith(API):
            return await handler(request)
        proceed: Proceed = partial(answered, handler)
        for dialect in reversed(made[key]):
            proceed = partial(dialect.meet, proceed)
        return await proceed(request)

    return middleware


def _entry(text: str, keys: frozenset[str]) -> tuple[str, str]:
    name, _, only = text.partition("@")
    if name not in DIALECTS:
        raise SettingError(f"There is no dialect {name!r}. Use one of: {', '.join(DIALECTS)}.")
    if only and only not in keys:
        raise SettingError(f"Dialect {name} is for an API key that is not let in. Give it with --api-key as well.")
    return name, only
