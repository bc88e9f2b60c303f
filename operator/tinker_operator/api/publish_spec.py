"""Which checkpoint of a run everybody may read: `spec.publish` of a CheckpointPolicy."""

from enum import StrEnum

from tinker_operator.api.rules import rule


class Publish(StrEnum):
    """Which training checkpoint of each TrainingRun is public at the service."""

    NONE = "None"
    """None by this policy; what it published is taken back."""
    BEST = "Best"
    """The best by retention.keepBest.metric."""
    LATEST = "Latest"
    """The newest."""


BEST_NEEDS_A_METRIC = rule(
    "self.publish != 'Best' || has(self.retention.keepBest)",
    "publish: Best needs a metric to tell the best by; give retention.keepBest with its metric, or choose Latest",
    path=".publish",
)
"""Rule of CheckpointPolicy's spec."""

PUBLISH_NEEDS_TRAINING = rule(
    "self.publish == 'None' || 'Training' in self.retention.checkpointTypes",
    "publish: only training checkpoints are published, and retention.checkpointTypes does not name them; add Training, "
    "or choose None",
    path=".publish",
)
"""Rule of CheckpointPolicy's spec: what is not governed is not looked at."""
