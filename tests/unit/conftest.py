"""How many examples of each property are drawn."""

import os

from hypothesis import settings

# Every day few, the same everywhere, so that no work is held up by what it did not cause. HYPOTHESIS_PROFILE=long, as
# in the nightly workflow, draws many, and others each time.
settings.register_profile("daily", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "daily"))
