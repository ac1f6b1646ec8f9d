"""The layout of predicted masks on disk: `evaluate --save-masks` writes it, `evaluate --masks` scores any method's.

    refer_youtube_vos   Annotations/<video>/<expression id>/<frame>.png   a mask; Annotations/ may be left out
    mevis               <video>/<expression id>/<frame>.png               a mask
    ref_davis           anno_0 ... anno_3/<sequence>/<frame>.png          palette image, index = object id
    all others          index.json and the masks that it names, in any place

A folder or a zip. A mask is a PNG of the frame's size in mode L, P or 1 with two values, 0 and another one.

    index.json: [{"sample_id": "v_<video>_f_<frame>_i_<instance>", "expression", "mask": path, "confidence"}, ...]

One entry a sample. A path begins at the folder of index.json; / and \\ both part its names, and none of them is `..`.
Where there are no instances, as in J-HMDB, ids end with the frame. The confidence ranks samples in mAP_coco.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..data.clip import ReferringClip, ReferringVideo
from ..shared.archives import Entry, archive_kind, open_archive, refuse_harm
from ..shared.files import ANY, is_litter, named_if_full, require_ours, write_json, written_whole
from ..shared.images import write_index_mask
from ..video.prediction import MASKS, save_mask
from .records import Sample

INDEX = "index.json"
TOP = {"refer_youtube_vos": "Annotations/"}  # what stands before the videos, by data set
LARGEST = 2**28  # bytes that a member of a zip may unpack to


def expression_folder(video: ReferringVideo) -> str:
    """Where the masks of a sentence lie."""
    return f"{video.video_id}/{video.expression_id}/"


def sequence_folder(annotator: int, video: ReferringVideo) -> str:
    """Where the label maps of a Ref-DAVIS17 sequence lie, by the annotator of its sentences."""
    return f"anno_{annotator}/{video.video_id}/"


class MaskWriter:
    """Writes predicted masks below `folder`, in the layout that `MaskReader` reads."""

    def __init__(self, folder: str | Path, home: str):
        self.folder, self.top = Path(folder), TOP.get(home, "")

    def write_sample(self, clip: ReferringClip, mask: np.ndarray) -> None:
        save_mask(self.folder / sample_file(clip.video_id, clip.sample_id, clip.expression), mask)

    def write_index(self, samples: Iterable[Sample]) -> None:
        """`index.json`, once all samples are written."""
        entries = []
        for s in samples:
            mask = sample_file(s.video_id, s.sample_id, s.expression)
            entry = {"sample_id": s.sample_id, "expression": s.expression, "mask": mask, "confidence": s.confidence}
            entries.append(entry)
        write_json(self.folder / INDEX, entries, ANY)

    def write_frame(self, videos: Sequence[ReferringVideo], k: int, masks: np.ndarray) -> None:
        """The masks (S, H, W) of listed frame `k` for S sentences."""
        for video, mask in zip(videos, masks, strict=True):
            save_mask(self.folder / f"{self.top}{expression_folder(video)}{video.frames[k]}.png", mask)

    def write_labels(self, annotator: int, video: ReferringVideo, k: int, labels: np.ndarray) -> None:
        """A label map (H, W) uint8 of frame `k` of a sequence."""
        write_index_mask(self.folder / f"{sequence_folder(annotator, video)}{video.frames[k]}.png", labels)


def sample_file(video_id: str, sample_id: str, expression: str) -> str:
    """A name that no other sample has, whichever process writes it: sentences are told apart by a hash."""
    number = sample_id.removeprefix(f"v_{video_id}_f_").replace("_i_", "_")
    return f"{video_id}/{number}_{hashlib.sha256(expression.encode()).hexdigest()[:8]}.png"


@contextmanager
def folder_for_masks(target: str, keep: bool, state) -> Iterator[Path | None]:
    """A folder beside `target` for all processes of `state` (accelerate's) to write masks to; None without a target.

    At the end it becomes `target` if it is to be kept and all has gone well, and vanishes otherwise. Raises
    `FileExistsError` if that would replace something.
    """
    from accelerate.utils import broadcast_object_list

    if not target:
        yield None
        return
    place = Path(target)
    if keep:
        require_ours(place, MASKS, folder=True)
    with ExitStack() as stack:
        part = None
        if state.is_main_process and keep:
            part = str(stack.enter_context(written_whole(place, MASKS, folder=True)))
        elif state.is_main_process:
            with named_if_full(place, place.parent):
                place.parent.mkdir(parents=True, exist_ok=True)
                part = stack.enter_context(TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent))
            stack.enter_context(named_if_full(place, Path(part)))
        yield Path(broadcast_object_list([part])[0])


def is_hidden(name: str) -> bool:
    """True if a file, or a folder that it lies in, is what systems leave behind."""
    return any(map(is_litter, name.split("/")))


@contextmanager
def open_masks(path: Path) -> Iterator[tuple[list[Entry], Callable]]:
    """The files in a zip and a function that opens one by its handle. Raises `ValueError` unless it is a whole zip."""
    if archive_kind(path) != "zip":
        raise ValueError(f"{path} is not a zip; expected a folder of masks or a zip of it")
    with open_archive(path) as (entries, open_member):
        yield [entry for entry in entries if entry.kind != "folder"], open_member


def refuse_member(entry: Entry) -> None:
    """Raises `ValueError` for a member that could do harm, or is too large for a mask."""
    refuse_harm(entry)
    if entry.size > LARGEST:
        raise ValueError(f"{entry.name!r} unpacks to {entry.size:,} bytes, too many for a mask")
