"""A real Prometheus, to see that what the operator shows is what rules and dashboard ask for.

Tests and the dashboard's picture start one. The programs are those on PATH, or of Debian's package.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from playground import debian
from playground.cache import Cache
from playground.children import Child, see_running, wait_until
from playground.components import LOOPBACK
from playground.errors import ComponentFailed, SourceUnavailable
from playground.progress import Reporter
from playground.settings import Settings

PROGRAMS = ("prometheus", "promtool")
JOB = "tinker-operator"
_READY_SECONDS = 60.0
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Programs:
    """The two programs.

    Attributes:
        server: prometheus.
        tool: promtool.
    """

    server: Path
    tool: Path


def find_prometheus(settings: Settings, reporter: Reporter) -> Programs:
    """Answer prometheus and promtool, after getting them if need be.

    Args:
        settings: Where the cache is, and where programs are looked up.
        reporter: Told what is waited for.

    Raises:
        SourceUnavailable: They are not here, and the distribution has no package of them.
        BadSetting: The cache cannot be made.
    """
    here = [shutil.which(name, path=settings.search_path) for name in PROGRAMS]
    if here[0] is not None and here[1] is not None:
        return Programs(Path(here[0]), Path(here[1]))
    release = debian.release()
    if not release:
        remedy = "Install Prometheus, so that prometheus and promtool are on PATH."
        raise SourceUnavailable("There is no Prometheus, and this is no Linux to get one for.", remedy)
    cache = Cache(settings.cache, reporter, PROGRAMS)
    folder = cache.entry(
        f"prometheus-{release}-{settings.platform}",
        lambda target: debian.programs_of("prometheus", PROGRAMS, target, reporter),
    )
    return Programs(*(folder / name for name in PROGRAMS))


class Prometheus:
    """One Prometheus on a free port of loopback, that scrapes and judges as often as it is told; a context manager.

    Args:
        programs: What is run.
        folder: Its settings, series and log.
        targets: Addresses to scrape, as `host:port`.
        rules: Files of rules.
        every_seconds: Between two scrapes, and between two judgements.
    """

    def __init__(
        self,
        programs: Programs,
        folder: Path,
        targets: Sequence[str],
        rules: Sequence[Path] = (),
        every_seconds: int = 1,
    ) -> None:
        self._programs, self._folder = programs, folder
        every = f"{every_seconds}s"
        scraped = {"job_name": JOB, "honor_labels": True, "static_configs": [{"targets": list(targets)}]}
        self._settings = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(each.absolute()) for each in rules],
            "scrape_configs": [scraped],
        }
        self._child: Child | None = None
        self._http = httpx.Client(trust_env=False, timeout=_ANSWER_SECONDS)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            ComponentFailed: It does not come up; the message has the end of its log.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "prometheus.json"
        settings.write_text(json.dumps(self._settings))  # JSON is YAML
        with socket.create_server((LOOPBACK, 0)) as free:
            address = f"{LOOPBACK}:{free.getsockname()[1]}"
        self._http.base_url = httpx.URL(f"http://{address}")
        command: list[str | Path] = [
            self._programs.server,
            f"--config.file={settings}",
            f"--storage.tsdb.path={self._folder / 'series'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        self._child = Child("prometheus", command, self._folder / "prometheus.log")
        if not wait_until(self._is_ready, _READY_SECONDS):
            raise ComponentFailed(f"prometheus is not ready: {self._child.tail()}", "Read what it says.")

    def _is_ready(self) -> bool:
        see_running([self._child] if self._child is not None else [])
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()
        self._http.close()

    def ask(self, route: str, **parameters: str | float) -> Any:
        """Answer the data of a call to its HTTP API, such as `targets` or `rules`.

        Raises:
            ComponentFailed: It refuses; the message is its own.
        """
        answer = self._http.get(f"/api/v1/{route}", params=parameters).json()
        if answer["status"] != "success":
            raise ComponentFailed(f"{route}: {answer['error']}", "Correct the query.")
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Answer what an expression is now: samples with their labels.

        Raises:
            ComponentFailed: It cannot be parsed or evaluated.
        """
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Answer what an expression was, from `start` to `end` every `step` seconds: series with their labels.

        Raises:
            ComponentFailed: It cannot be parsed or evaluated.
        """
        found: list[dict[str, Any]] = self.ask("query_range", query=expression, start=start, end=end, step=step)[
            "result"
        ]
        return found
