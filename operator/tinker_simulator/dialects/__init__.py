"""Other servers' ways with the API, each one deviation over the real routes; chosen when the simulator starts.

    app ─▶ book (who speaks what) ─▶ dialects, outermost first ─▶ the real route

`catalogue` names them all; the other modules hold one family each, over what `exchange` gives them.
"""

from tinker_simulator.dialects.book import DialectBook, spoken
from tinker_simulator.dialects.catalogue import DIALECTS, Profile

__all__ = ["DIALECTS", "DialectBook", "Profile", "spoken"]
