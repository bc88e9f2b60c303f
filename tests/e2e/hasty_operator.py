"""The operator with a Lease that is lost and taken over within seconds, so that a test can see many leaders.

Started like the operator. The rules are those of `LeaseTimings`; only the times are shorter.
"""

from functools import partial

from tinker_operator.cli import main as command
from tinker_operator.controllers import sharding
from tinker_operator.engine.lease import LeaseTimings

DURATION_SECONDS, DEADLINE_SECONDS, RETRY_SECONDS = 5, 4.0, 0.4

if __name__ == "__main__":
    vars(sharding)["LeaseTimings"] = partial(LeaseTimings, DURATION_SECONDS, DEADLINE_SECONDS, RETRY_SECONDS)
    command.main()
