"""dtse: a deeply interleaved two-stream encoder for referring video segmentation, piece by piece.

An independent implementation of the ideas in the abstract of arXiv 2203.15969. The public names are
loaded when they are first used, so that `import dtse_core` stays quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import ModelConfig as ModelConfig
    from .config import RunConfig as RunConfig
    from .config import preset as preset
    from .model import DTSE as DTSE
    from .model import DTSEOutput as DTSEOutput
    from .predict import ReferringVideoPredictor as ReferringVideoPredictor

    __version__: str

_HOMES = {
    "DTSE": "model",
    "DTSEOutput": "model",
    "ModelConfig": "config",
    "RunConfig": "config",
    "preset": "config",
    "ReferringVideoPredictor": "predict",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name == "__version__":
        return importlib.import_module(f"{__name__}.shared.versions").version("dtse")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
