"""Data sets in their genuine layouts, and the way from a clip to a batch. Names are loaded when first used."""

import importlib

_HOMES = {
    "A2DSentences": "a2d",
    "JHMDBSentences": "jhmdb",
    "RefDAVIS17": "ref_davis",
    "ReferYouTubeVOS": "refer_youtube_vos",
    "MeViS": "mevis",
    "ReferringClip": "clip",
    "ReferringVideo": "clip",
    "ToyWorld": "toy.world",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
