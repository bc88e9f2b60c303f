"""What can go wrong between the operator and a service: the kinds of trouble, none of which says that a run is lost.

A `Warp` makes another answer of a sound one, so that the same trouble can be met over real sockets and in one process.
What only a socket can do is a `Fault` of its own.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.e2e.proxy import Exchange, Fault


class Answer(NamedTuple):
    """An answer of a service."""

    status: int
    headers: dict[str, str]
    body: bytes


Warp: TypeAlias = Callable[[Random, Answer], Answer]
Strike: TypeAlias = Callable[[Exchange], Awaitable[None]]
PORTAL = b"<!DOCTYPE html><html><body>Please accept the terms of this network.</body></html>"
HTML, JSON = {"content-type": "text/html"}, {"content-type": "application/json"}


def _storm(rng: Random, _sound: Answer) -> Answer:
    body = rng.choice([PORTAL, b"", b'{"detail": "upstream connect error"}'])
    return Answer(rng.choice([500, 502, 503, 504, 529]), HTML, body)


def _rate_limited(_rng: Random, _sound: Answer) -> Answer:
    return Answer(429, JSON, b'{"detail": "Too Many Requests"}')


def _rate_limited_until(rng: Random, _sound: Answer) -> Answer:
    after = rng.choice(["0", "3600", "-1", "soon", "Fri, 31 Dec 2099 23:59:59 GMT"])
    return Answer(429, {**JSON, "retry-after": after}, b"{}")


def _refused(rng: Random, _sound: Answer) -> Answer:
    status = rng.choice([400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 418, 421, 422, 451])
    return Answer(status, HTML, rng.choice([PORTAL, b'{"detail": "Not Found"}', b"null"]))


def _redirected(rng: Random, _sound: Answer) -> Answer:
    return Answer(rng.choice([301, 302, 303, 307, 308]), {**HTML, "location": "http://192.0.2.1/portal"}, PORTAL)


def _portal(rng: Random, _sound: Answer) -> Answer:
    return Answer(200, rng.choice([HTML, JSON]), PORTAL)


def _garbage(rng: Random, sound: Answer) -> Answer:
    broken = [rng.randbytes(rng.randrange(1, 400)), sound.body[:-1] + b"?", b"\xff" + sound.body, b"", b"NaN"]
    return Answer(200, JSON, rng.choice(broken))


def _misshapen(rng: Random, sound: Answer) -> Answer:
    listing = json.loads(sound.body)
    rows = listing.get("training_runs", [])
    for row in rows:
        rng.choice(_MISSHAPES)(row)
    whole: list[Any] = [[], None, "ok", {}, {"training_runs": None}, {"training_runs": {}}, {"data": rows}]
    broken = [listing, listing, listing, *whole] if rows else whole
    return Answer(200, JSON, json.dumps(rng.choice(broken)).encode())


_MISSHAPES: tuple[Callable[[dict[str, Any]], object], ...] = (
    lambda row: row.update(corrupted=None),
    lambda row: row.update(corrupted="true"),
    lambda row: row.update(corrupted=1),
    lambda row: row.pop("training_run_id"),
    lambda row: row.pop("is_lora"),
    lambda row: row.update(training_run_id=None, corrupted=True),
    lambda row: row.update(last_request_time="yesterday", corrupted=True),
    lambda row: row.update(user_metadata=[], corrupted=True),
)


def _half_listing(rng: Random, sound: Answer) -> Answer:
    """One row never comes, others may come twice, and the service still tells the true count."""
    listing = json.loads(sound.body)
    rows = sorted(listing.get("training_runs", []), key=lambda row: str(row["training_run_id"]))
    listing["training_runs"] = rows[1:] + rng.choice([[], rows[1:]])
    return Answer(200, JSON, json.dumps(listing).encode())


WARPS: dict[str, Warp] = {
    "5xx storm": _storm,
    "429": _rate_limited,
    "429 with Retry-After": _rate_limited_until,
    "4xx of a gateway": _refused,
    "redirect": _redirected,
    "captive portal": _portal,
    "garbage": _garbage,
    "another shape": _misshapen,
    "half a listing": _half_listing,
}


def flapping(rng: Random, sound: Answer) -> Answer:
    """Each answer is troubled in another way."""
    return rng.choice(list(WARPS.values()))(rng, sound)


def skewed(skew: timedelta, _rng: Random, sound: Answer) -> Answer:
    """The service's clock is off; what it says is well-formed, and true otherwise."""

    def off(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: off(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [off(key, one) for one in value]
        is_time = isinstance(value, str) and key.endswith(("time", "_at"))
        return (datetime.fromisoformat(value) + skew).isoformat() if is_time else value

    headers = dict(sound.headers)
    if "date" in headers:
        headers["date"] = format_datetime(parsedate_to_datetime(headers["date"]) + skew, usegmt=True)
    if "json" not in headers.get("content-type", ""):
        return Answer(sound.status, headers, sound.body)
    return Answer(sound.status, headers, json.dumps(off("", json.loads(sound.body))).encode())


async def warped(warp: Warp, exchange: Exchange) -> None:
    """Gives a warped answer in place of the sound one."""
    real = await exchange.answered()
    headers = {name.lower(): value for name, value in real.headers.items()}
    await exchange.answer(*warp(exchange.rng, Answer(real.status, headers, real.body)))


async def silent(_exchange: Exchange) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def dripping(exchange: Exchange) -> None:
    """Gives the real answer byte by byte, slower than anybody waits."""
    real = await exchange.answered()
    await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    await exchange.write(b"content-length: %d\r\n\r\n" % len(real.body))
    for byte in real.body:
        await exchange.write(bytes([byte]))
        await asyncio.sleep(0.5)


async def cut_in_headers(exchange: Exchange) -> None:
    """Resets the connection before the headers end."""
    await exchange.write(b"HTTP/1.1 200 OK\r\ncontent-type: applica")
    exchange.hang_up(reset=True)


async def cut_in_body(exchange: Exchange, *, reset: bool) -> None:
    """Ends the connection when half of the body is sent."""
    body = (await exchange.answered()).body
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    await exchange.write(head + body[: exchange.rng.randrange(len(body))])
    exchange.hang_up(reset=reset)


async def _each_time_another(exchange: Exchange) -> None:
    cuts: list[Strike] = [cut_in_headers, partial(cut_in_body, reset=True), partial(cut_in_body, reset=False)]
    warps: list[Strike] = [partial(warped, warp) for warp in WARPS.values()]
    await exchange.rng.choice([*warps, *cuts])(exchange)


def socket_faults() -> dict[str, Fault]:
    """Returns every kind of trouble that plain HTTP can have, by name."""
    return {
        **{name: Fault(name, partial(warped, warp)) for name, warp in WARPS.items()},
        "flapping": Fault("flapping", _each_time_another),
        "silence": Fault("silence", silent),
        "slow drip": Fault("slow drip", dripping),
        "reset at connect": Fault("reset at connect", at_connect=True),
        "reset in the headers": Fault("reset in the headers", cut_in_headers),
        "reset in the body": Fault("reset in the body", partial(cut_in_body, reset=True)),
        "half a body": Fault("half a body", partial(cut_in_body, reset=False)),
    }


def certificate(folder: Path, name: str, host: str, *, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """Returns a server's context with a certificate for a host, by an authority of its own: `<name>.pem`.

    Args:
        folder: Where it is written.
        name: Of the file.
        host: DNS name that it is good for; 127.0.0.1 stands for the address.
        days: From when to when it is good, in days from now.
    """
    now = datetime.now(UTC)  # noqa: TID251 - a test is a composition root
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    names = x509.SubjectAlternativeName([x509.IPAddress(_LOOPBACK) if host == str(_LOOPBACK) else x509.DNSName(host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


_LOOPBACK = IPv4Address("127.0.0.1")
