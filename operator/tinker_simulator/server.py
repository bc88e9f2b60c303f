"""Runs the application as a program: one line when it is ready, a clean end on SIGTERM."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from tinker_simulator.settings import SettingError

# Held polls are let go at once; what still runs then is a training step of milliseconds.
_SHUTDOWN_SECONDS = 3.0


@contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Keep other simulators away from the state folder for as long as the block runs.

    Raises:
        SettingError: the folder cannot be used, or another simulator uses it.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / "lock").open("w")
    except OSError as unusable:
        raise SettingError(f"Cannot use {state_dir}: {unusable.strerror}. Give a folder that can be written.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingError(f"Another simulator uses {state_dir}. End it, or give another folder.") from None
        yield


async def serve(app: web.Application, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        app: What to serve.
        host: Address to listen on.
        port: Port to listen on; 0 takes any free one.
        ready: Called with the base URL once requests are answered.

    Raises:
        SettingError: the address cannot be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as unusable:
            raise SettingError(
                f"Cannot listen on {host}:{port}: {_reason(unusable)}. Give another --port, or 0 for any free one."
            ) from None
        ready(_url(host, runner))
        await stop.wait()
    finally:
        await runner.cleanup()


def _reason(failure: OSError) -> str:
    # asyncio wraps the reason into a sentence of its own; the number still has it.
    return os.strerror(failure.errno) if failure.errno else str(failure)


def _url(host: str, runner: web.AppRunner) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{runner.addresses[0][1]}"
