"""Certificates, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from tinker_operator.tinker import RetryPolicy, TinkerClient
from tinker_operator.tinker.errors import ServiceUnreachable, TlsFault

pytestmark = pytest.mark.http

BODY = b'{"status": "ok"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
BORN = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Identity:
    """A certificate that signs itself, for one host name."""

    certificate: str
    file: Path


def identity(folder: Path, host: str, *, years: int = 100) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BORN)
        .not_valid_after(BORN + timedelta(days=365 * years))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{host}-{years}.pem"
    file.write_bytes(private + certificate)
    return Identity(certificate.decode(), file)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Start servers that answer whatever they are asked with the same bytes."""
    servers: list[asyncio.Server] = []

    async def start(answer: bytes, shown: Identity | None = None) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(answer)
            await writer.drain()
            writer.close()

        context = None
        if shown is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown.file)
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}" if shown is None else f"https://localhost:{port}"

    yield start
    for server in servers:
        server.close()


def client(url: str, ca_pem: str | None = None) -> TinkerClient:
    retry = RetryPolicy(initial_seconds=0.01, max_attempts=2)
    return TinkerClient(url, SecretStr("tml-x"), ca_pem=ca_pem, retry=retry)


async def test_a_service_whose_authority_was_given_is_trusted(tmp_path: Path, serve: Callable[..., Any]) -> None:
    shown = identity(tmp_path, "localhost")
    async with client(await serve(ANSWER, shown), shown.certificate) as tinker:
        assert await tinker.healthz() == "ok"


@pytest.mark.parametrize(
    ("host", "years", "given"),
    [
        pytest.param("localhost", 100, False, id="an authority that was not given"),
        pytest.param("elsewhere.test", 100, True, id="the certificate of another host"),
        pytest.param("localhost", 1, True, id="a certificate that has expired"),
    ],
)
async def test_a_service_that_cannot_prove_itself_gets_no_key(
    tmp_path: Path, serve: Callable[..., Any], host: str, years: int, given: bool
) -> None:
    shown = identity(tmp_path, host, years=years)
    other = identity(tmp_path, "other.test")
    async with client(await serve(ANSWER, shown), (shown if given else other).certificate) as tinker:
        with pytest.raises(TlsFault, match="certificate verify failed") as fault:
            await tinker.healthz()
    assert "ca.crt" in fault.value.remedy


async def test_plain_http_at_an_https_address_is_a_fault_of_tls(serve: Callable[..., Any]) -> None:
    url = await serve(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 2)
    async with client(url.replace("http:", "https:")) as tinker:
        with pytest.raises(TlsFault) as fault:
            await tinker.healthz()
    assert "base URL" in fault.value.remedy


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half of a head"),
    ],
)
async def test_what_does_not_speak_http_is_unreachable(serve: Callable[..., Any], answer: bytes) -> None:
    async with client(await serve(answer)) as tinker:
        with pytest.raises(ServiceUnreachable):
            await tinker.healthz()
