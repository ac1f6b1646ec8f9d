"""A bare `pytest --nbval notebooks/` runs without bars, widgets and network."""

import os

os.environ["DTSE_HEADLESS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
