"""What a connection may ask of its service: how much at once, how often, and whether at all while the service fails.

Whoever opens a connection for many may give it a budget; the transport spends from it. A connection without one is
bounded by its caller alone.
"""

from tinker_operator.tinker.budget.breaker import Breaker, BreakerTerms
from tinker_operator.tinker.budget.budget import LONGEST_PAUSE, Budget, NoBudget, Spending
from tinker_operator.tinker.budget.lanes import Lane, asked_in
from tinker_operator.tinker.budget.terms import USUAL_PACE, BudgetTerms, BudgetWatch, Outcome

__all__ = [
    "LONGEST_PAUSE",
    "USUAL_PACE",
    "Breaker",
    "BreakerTerms",
    "Budget",
    "BudgetTerms",
    "BudgetWatch",
    "Lane",
    "NoBudget",
    "Outcome",
    "Spending",
    "asked_in",
]
