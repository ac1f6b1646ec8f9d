"""dtse: a deeply interleaved two-stream encoder for referring video segmentation, piece by piece.

An independent implementation of the ideas in the abstract of arXiv 2203.15969. The public names are
loaded when they are first used, so that `import dtse_core` stays quick.
"""

import importlib

_HOMES = {
    "DTSE": "model",
    "DTSEOutput": "model",
    "ModelConfig": "config",
    "RunConfig": "config",
    "preset": "config",
    "ReferringVideoPredictor": "predict",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
