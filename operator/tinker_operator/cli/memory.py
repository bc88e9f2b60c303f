"""How Python and the C library keep memory for the operator; measured with 10,000 TrainingRuns."""

import ctypes
import gc

COLLECTING = (20_000, 20, 20)
"""When Python looks for garbage in cycles: with its usual numbers that is half of what a look at 10,000 runs costs."""
_M_ARENA_MAX = -8
"""Of glibc's mallopt(3)."""


def thrifty() -> None:
    """Has garbage be looked for seldom, and all threads share one arena; to be called before there are any.

    What kopf's thread reads from the API server is given back by the event loop's. With an arena for each thread, as
    glibc has it, holes remain in the one that nobody else fills. Another C library is left as it is.
    """
    gc.set_threshold(*COLLECTING)
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)
