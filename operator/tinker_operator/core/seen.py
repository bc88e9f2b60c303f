"""All that a decision about one TrainingRun has to go on, and the way it asks for more.

A decision is run until it stops asking: it calls `ask`, and where the answer is not there yet it ends with
`Unanswered`; the shell answers that one question and decides again. So what is read follows from the decision
itself, no list of reads has to be kept beside it, and nothing is read in vain.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tinker_operator.core.inventory import Inventory
from tinker_operator.core.schedule import Deciding
from tinker_operator.core.world import Answer, Question

T = TypeVar("T")


class Unanswered(Exception):
    """A decision needs this answer before it can be made.

    Attributes:
        question: What to find out.
    """

    def __init__(self, question: Question) -> None:
        super().__init__(str(question))
        self.question = question


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What was observed for one TrainingRun.

    Attributes:
        cluster_id: First part of the owner key.
        inventory: The snapshot of the object's connection.
        claimed_by: An older TrainingRun that follows the same run, as namespace/name; None when there is none.
        answers: Answers had so far in this round.
        schedule: The schedule of a CheckpointPolicy that holds for it; None for none.
        schedule_unread: Whether a policy that cannot be read may decide instead: what is said of saves stays.
        waited_seconds: How long ago this replica first saw the object.
    """

    cluster_id: str
    inventory: Inventory = field(default_factory=Inventory)
    claimed_by: str | None = None
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    schedule: Deciding | None = None
    schedule_unread: bool = False
    waited_seconds: float = float("inf")

    def ask(self, question: Question) -> Answer:
        """Returns the answer.

        Raises:
            Unanswered: It has not been asked in this round.
        """
        return answered(self.answers, question)

    def learned(self, question: Question, answer: Answer) -> "RunSeen":
        """Returns the same with one answer more."""
        return replace(self, answers={**self.answers, question: answer})


def answered(answers: Mapping[Question, Answer], question: Question) -> Answer:
    """Returns the answer.

    Raises:
        Unanswered: It is not among those had so far.
    """
    if question not in answers:
        raise Unanswered(question)
    return answers[question]


def decided(decide: Callable[[], T]) -> T | Unanswered:
    """Returns the decision, or what it still has to know before it can be made."""
    try:
        return decide()
    except Unanswered as unanswered:
        return unanswered
