"""Data sets in their genuine layouts, and the way from a clip to a batch. Names are loaded when first used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .a2d import A2DSentences as A2DSentences
    from .clip import ReferringClip as ReferringClip
    from .clip import ReferringVideo as ReferringVideo
    from .jhmdb import JHMDBSentences as JHMDBSentences
    from .mevis import MeViS as MeViS
    from .own import OwnData as OwnData
    from .ref_davis import RefDAVIS17 as RefDAVIS17
    from .refcoco import RefCOCO as RefCOCO
    from .refer_youtube_vos import ReferYouTubeVOS as ReferYouTubeVOS
    from .toy.world import ToyWorld as ToyWorld

_HOMES = {
    "A2DSentences": "a2d",
    "JHMDBSentences": "jhmdb",
    "RefDAVIS17": "ref_davis",
    "ReferYouTubeVOS": "refer_youtube_vos",
    "MeViS": "mevis",
    "OwnData": "own",
    "RefCOCO": "refcoco",
    "ReferringClip": "clip",
    "ReferringVideo": "clip",
    "ToyWorld": "toy.world",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
