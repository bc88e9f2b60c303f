"""Tells a service that does not know the one-call restore from one that refuses this checkpoint; for `restoring`.

A service of the older form checks the request against that form: it misses `model_id` or `seq_id`, or it objects to
`session_id` or `model_seq_id` as fields it has not. Whatever else it says, above all of a checkpoint or a path, is a
verdict on the request. In doubt it is one: a checkpoint that is refused wrongly costs a step back, a run that is made
wrongly could be taken for a good one.
"""

import re
from typing import Final

from tinker_operator.tinker.errors import BadRequest, StatusError, Unprocessable

_CHECKPOINT: Final = re.compile(r"tinker://|checkpoint|\bpath\b", re.IGNORECASE)
_OWN: Final = re.compile(r"\b(model_id|seq_id)\b", re.IGNORECASE)
_WANTED: Final = re.compile(r"\b(required|missing)\b", re.IGNORECASE)
_FOREIGN: Final = re.compile(r"\b(session_id|model_seq_id)\b", re.IGNORECASE)
_UNWANTED: Final = re.compile(
    r"\b(extra|unexpected|not permitted|unrecogni[sz]ed|unknown (field|parameter|argument|key))", re.IGNORECASE
)


def lacks_create_form(error: StatusError) -> bool:
    """Tell whether a refusal of the create form says that the service has only the older form."""
    if not isinstance(error, BadRequest | Unprocessable) or _CHECKPOINT.search(error.said):
        return False
    misses_its_own = _OWN.search(error.said) and _WANTED.search(error.said)
    refuses_ours = _FOREIGN.search(error.said) and _UNWANTED.search(error.said)
    return bool(misses_its_own or refuses_ours)
