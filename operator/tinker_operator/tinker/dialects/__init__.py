"""What independent servers of the Tinker API do otherwise, and how the client lives with it; used by the client alone.

`capabilities` says what a connection knows of its service, `learning` how it comes to know, `probing` how it asks
without touching anything, `restoring` what is done where the one-call restore is not there.
"""

from tinker_operator.tinker.dialects.capabilities import Capabilities, Support

__all__ = ["Capabilities", "Support"]
