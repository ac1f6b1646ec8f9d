"""How many examples of each property are drawn, the device, and the style of figures."""

import os

import pytest
from hypothesis import settings

# Every day few, the same everywhere, so that no work is held up by what it did not cause. HYPOTHESIS_PROFILE=long, as
# in the nightly workflow, draws many, and others each time.
settings.register_profile("daily", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "daily"))

# What these tests say of bits holds on a CPU. A GPU has tests of its own, in tests/gpu.
os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture
def style():
    """The package's style for the figures of one test."""
    import matplotlib.pyplot as plt

    from dtse_core.video.film import use_style

    with plt.rc_context():
        use_style()
        yield
    plt.close("all")
