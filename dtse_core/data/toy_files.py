"""The toy world on disk, in a data set's genuine layout: `data_scripts/make_toy_world.py` writes it.

A module a layout, `toy_a2d` and its siblings, knows the files; here is what they share. Beside a layout's own files
stands `toy_world.json`, which tells what these cannot: the finer splits, evidence and twins.

    {"settings": {"layout", "seed", "clips", "height", "width", "traps"},   what was asked for
     "splits": {split: [video, ...]},
     "sentences": {video: [[key, sentence, evidence, twin], ...]}}          key: the layout's own; twin 0: none
"""

import importlib
import json
import os
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..commands import bars_hidden
from .toy_world import SPLITS, Scene, ToyWorld, render

LAYOUTS = {  # by the name that `--layout` and `data.name` take
    "a2d": "toy_a2d",
    "refer_youtube_vos": "toy_refer_youtube_vos",
}
