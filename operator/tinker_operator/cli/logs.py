"""Logs of the operator: one line a happening, for people on a terminal and as JSON for everything else."""

import logging
import sys
from typing import TextIO

import structlog


def configure_logs(stream: TextIO = sys.stderr, *, json: bool | None = None, debug: bool = False) -> None:
    """Sets the form of every log line; third-party warnings are written in it too.

    Args:
        stream: Where to.
        json: True for one JSON object a line; None to do so unless the stream is a terminal.
        debug: Also what is of interest only while hunting a defect.
    """
    as_json = not stream.isatty() if json is None else json
    render = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    level = logging.DEBUG if debug else logging.INFO
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=render))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Its one warning, that there is no kubeconfig, is told by our own error, with the remedy.
    logging.getLogger("kubernetes").setLevel(logging.ERROR)
