"""How a command asks a simulator that serves with `--admin`, and what it says when that cannot be done."""

from typing import Any

import click
import httpx

_SECONDS_TO_ANSWER = 120.0

url_option = click.option(
    "--url", required=True, envvar="TINKER_SIMULATOR_URL", help="Where the simulator serves, as it said when it began."
)


def ask(url: str, method: str, route: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the simulator answers to an order.

    Args:
        url: Where it serves.
        method: Of HTTP.
        route: Below `/_simulator/`.
        body: The order.

    Raises:
        click.ClickException: no simulator answers there, or it refuses; the message tells the remedy.
    """
    try:
        answer = httpx.request(method, f"{url.rstrip('/')}/_simulator/{route}", json=body, timeout=_SECONDS_TO_ANSWER)
    except (httpx.HTTPError, httpx.InvalidURL) as unreachable:
        raise click.ClickException(f"No simulator answers at {url}: {unreachable}. Check --url.") from unreachable
    if answer.is_success:
        result: dict[str, Any] = answer.json()
        return result
    raise click.ClickException(_reason(answer))


def _reason(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"That is not a simulator (status {answer.status_code}). Check --url."
    if detail == "Not Found":
        return "The simulator serves without --admin. Start it with --admin."
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, error['loc'][1:]))}: {error['msg']}" for error in detail)
    return str(detail)
