"""Logs of the operator: one line a happening, for people on a terminal and as JSON for everything else.

No exception is written as Python writes it, neither ours nor a library's: a traceback shows source and a message may
quote a header, so that a key would stand in the log. `described` tells what may be told.
"""

import asyncio
import logging
import sys
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from tinker_operator.engine.faults import described

VALUES_BEGIN: Final = {"asyncio": "\n(", "kubernetes": "{", "opentelemetry": ",:"}
"""By library: where its messages begin to show the values of variables and the content of files."""
log = structlog.get_logger(__name__)


def configure_logs(stream: TextIO = sys.stderr, *, json: bool | None = None, debug: bool = False) -> None:
    """Sets the form of every log line; third-party warnings are written in it too.

    Args:
        stream: Where to.
        json: True for one JSON object a line; None to do so unless the stream is a terminal.
        debug: Also what is of interest only while hunting a defect.
    """
    as_json = not stream.isatty() if json is None else json
    render = structlog.processors.JSONRenderer() if as_json else _for_people(stream)
    level = logging.DEBUG if debug else logging.INFO
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_traceback,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    foreign = [without_values, *shared]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processor=render))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Its one warning, that there is no kubeconfig, is told by our own error, with the remedy.
    logging.getLogger("kubernetes").setLevel(logging.ERROR)
    # Its warnings are of every new try, and of headers for the collector that it cannot read, which it quotes.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)


def _for_people(stream: TextIO) -> Processor:
    # The usual formatter of exceptions shows local variables when a certain library is installed.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)


def without_traceback(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor of structlog: instead of an exception, what `described` tells of it."""
    fault = _fault_of(event.pop("exc_info", None))
    return event if fault is None else {**described(fault), **event}


def without_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor of structlog, for the records of libraries: takes out of the message what it quotes."""
    text = _before_values(str(event["event"]), event["_record"].name)
    fault = _fault_of(event.get("exc_info"))
    for quoted in (repr(fault), str(fault)) if fault is not None else ():
        text = text.replace(quoted, type(fault).__name__) if quoted else text
    return {**event, "event": text}


def tell_of_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler of an event loop: tells of what failed in the background, without its values.

    Args:
        context: As the event loop gives it.
    """
    fault = context.get("exception")
    told = described(fault) if isinstance(fault, BaseException) else {}
    log.error("background_fault", what=_before_values(str(context.get("message")), "asyncio"), **told)


def _before_values(text: str, logger: str) -> str:
    for sign in VALUES_BEGIN.get(logger.partition(".")[0], ""):
        text = text.partition(sign)[0]
    return text.rstrip()


def _fault_of(exc_info: object) -> BaseException | None:
    """Find the exception in the three forms that logging takes: itself, a triple, or true for the present one."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    elif exc_info and not isinstance(exc_info, BaseException):
        exc_info = sys.exception()
    return exc_info if isinstance(exc_info, BaseException) else None
