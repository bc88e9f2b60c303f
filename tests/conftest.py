"""What every tier shares: the real control plane's fixtures, and how long Hypothesis may think."""

import os

from hypothesis import settings

pytest_plugins = ["tests.jumping", "tests.playground_fixtures", "tests.node_fixtures", "tests.prometheus_fixtures"]

# The same examples in every run, so that a change is judged by what it changes; "deep" looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
