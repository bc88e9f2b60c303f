"""Fetches published files: streamed, resumed after a cut, checked against a SHA-512, and in place only when whole.

`playground.published` calls it. A file under its final name is always the whole, verified file.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import tenacity

from playground.errors import ChecksumMismatch, DownloadCut, SourceUnavailable
from playground.progress import BYTES, Reporter, Step
from playground.settings import Settings

_PORTS = {"http": 80, "https": 443}
_RETRY_REMEDY = "Try again; behind a proxy, set HTTPS_PROXY."


class Fetcher:
    """Downloads with the time-outs of the settings; a context manager.

    Args:
        settings: Time-outs and attempts.
        reporter: Told how far each download is.
    """

    def __init__(self, settings: Settings, reporter: Reporter) -> None:
        self._settings, self._reporter = settings, reporter
        timeout = httpx.Timeout(settings.read_seconds, connect=settings.connect_seconds)
        # A compressed transfer could not be resumed at a byte of the file.
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, headers={"Accept-Encoding": "identity"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def text(self, url: str) -> str:
        """Fetch a small text.

        Raises:
            SourceUnavailable: The host cannot be reached in time, or does not answer 200.
        """
        check_reachable(url, self._settings.connect_seconds)
        try:
            answer = self._client.get(url)
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"{url} cannot be fetched: {_why(error)}.", _RETRY_REMEDY) from error
        if answer.status_code != httpx.codes.OK:
            raise SourceUnavailable(f"{url} answers {answer.status_code}.", _RETRY_REMEDY)
        return answer.text

    def file(self, url: str, sha512: str, target: Path) -> None:
        """Fetch a file to `target`, which exists afterwards only if its SHA-512 is as published.

        Args:
            url: Where it is.
            sha512: Its published checksum, in hexadecimal.
            target: Where it goes; its folder exists.

        Raises:
            ChecksumMismatch: What came is not what was published.
            DownloadCut: The connection broke in every attempt.
            SourceUnavailable: The host cannot be reached, or answers an error.
        """
        check_reachable(url, self._settings.connect_seconds)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with self._reporter.step(f"Downloading {target.name}", BYTES) as step:
                actual = self._attempts(Download(self._client, url, part, step))
            if actual != sha512.strip().lower():
                raise ChecksumMismatch(
                    f"{url} has the SHA-512 {actual[:16]}..., but {sha512[:16]}... was published.",
                    "Try again; if it stays so, something on the way changes the file.",
                )
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _attempts(self, download: Download) -> str:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.attempts),
            wait=tenacity.wait_fixed(self._settings.pause_seconds),
            retry=tenacity.retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        try:
            return retrying(download.attempt)
        except httpx.TransportError as error:
            message = f"{download.url} broke off {self._settings.attempts} times, the last time: {_why(error)}."
            raise DownloadCut(message, _RETRY_REMEDY) from error


class Download:
    """One file on its way: what has come so far, and its running checksum.

    Args:
        client: Whose connections are used.
        url: Where the file is.
        part: Where it is collected.
        step: Told how far it is.

    Attributes:
        received: Bytes collected so far.
    """

    def __init__(self, client: httpx.Client, url: str, part: Path, step: Step) -> None:
        self.url, self.received = url, 0
        self._client, self._part, self._step = client, part, step
        self._digest = hashlib.sha512()

    def attempt(self) -> str:
        """Go on where the last attempt broke off, or start anew where the server cannot; answer the whole's SHA-512.

        Raises:
            httpx.TransportError: The connection broke; what has come stays, for the next attempt.
            SourceUnavailable: The server answers an error.
        """
        headers = {"Range": f"bytes={self.received}-"} if self.received else {}
        with self._client.stream("GET", self.url, headers=headers) as answer:
            if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                self._start_anew()
            if not answer.is_success:
                raise SourceUnavailable(f"{self.url} answers {answer.status_code}.", _RETRY_REMEDY)
            self._collect(answer)
        return self._digest.hexdigest()

    def _start_anew(self) -> None:
        self.received = 0
        self._digest = hashlib.sha512()
        self._part.write_bytes(b"")

    def _collect(self, answer: httpx.Response) -> None:
        length = answer.headers.get("Content-Length")
        total = None if length is None else self.received + int(length)
        with self._part.open("ab") as part:
            for (
                block
            ) in answer.iter_raw():  # without a block size: what has come is not held back when the connection breaks
                part.write(block)
                self._digest.update(block)
                self.received += len(block)
                self._step.advance(self.received, total)


def check_reachable(url: str, seconds: float) -> None:
    """Open and close a connection to where `url` is served from, the proxy if there is one.

    A host with many addresses in a network that swallows packets would cost one connect time-out per address, and a
    name look-up has no time-out at all; here both together have one.

    Args:
        url: What is about to be fetched.
        seconds: How long look-up and connection may take, each.

    Raises:
        SourceUnavailable: No connection within twice that time.
    """
    host, port = _gateway(url)
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            outcome.append("")
        except OSError as error:
            outcome.append(error.strerror or str(error) or type(error).__name__)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(2 * seconds)
    why = outcome[0] if outcome else f"no answer in {2 * seconds:g} s"
    if why:
        raise SourceUnavailable(
            f"{host} cannot be reached: {why}.", "Check the network; behind a proxy, set HTTPS_PROXY."
        )


def _gateway(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(host):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 1080)


def _why(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
