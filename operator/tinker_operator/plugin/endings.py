"""How a command of `kubectl tinker` ends: its exit statuses, and the one line that says why.

Every command uses the same ones, so that a script can tell "no" from "could not ask".
"""

from typing import ClassVar, Final

DONE: Final = 0
"""It did what was asked, and the answer, if it was a question, is yes."""
FAILED: Final = 1
"""It could not: API server or service did not answer, or refused."""
BAD_ARGUMENT: Final = 2
"""An argument, a file or the kubeconfig cannot be used."""
NO: Final = 3
"""The answer is no: a checkpoint is not good, a wish was declined or not confirmed."""


class Ending(Exception):
    """Ends the command; the message is one line: what happened, and what to do about it.

    Attributes:
        status: Exit status.
    """

    status: ClassVar[int] = FAILED


class Failed(Ending):
    """It could not be done."""


class Declined(Ending):
    """It will not be done, as things stand."""

    status: ClassVar[int] = NO
