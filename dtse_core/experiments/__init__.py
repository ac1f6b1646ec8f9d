"""One notebook run headlessly, a grid of them, and what is made of the results."""

from pathlib import Path

SMOKE = Path(__file__).with_name("grids") / "smoke.toml"  # a grid of four short runs
STUDY = Path(__file__).with_name("study")  # the study: its grid, its tables and its report
STARTER = Path(__file__).with_name("starter")  # a notebook, a grid and a workflow to begin with
