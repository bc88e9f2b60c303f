"""How an exception is told in a log line without telling a secret.

An exception of ours says what happened and what to do, in words that we chose. The text of any other may quote what it
stumbled over, a header or a Secret's content: of those only the kind and the place are told.
"""

import traceback

DEEPEST_FRAMES = 4


def described(fault: BaseException) -> dict[str, str]:
    """The fields of a log line that tell of an exception.

    Args:
        fault: Any exception. One with a `remedy` is taken to be ours.

    Returns:
        `error` (its kind) with `message`, or with `at`: the innermost frames, deepest first.
    """
    kind = type(fault).__name__
    if isinstance(getattr(fault, "remedy", None), str):
        return {"error": kind, "message": str(fault)}
    frames = traceback.extract_tb(fault.__traceback__)[-DEEPEST_FRAMES:]
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    return {"error": kind, "at": " < ".join(places)}
