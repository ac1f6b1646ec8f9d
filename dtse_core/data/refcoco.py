"""RefCOCO, RefCOCO+ and RefCOCOg as they were published, to learn looks and words from still pictures first.

    root/instances.json     as COCO has it: pictures, categories, and objects as polygons or run lengths
    root/refs(unc).p        what is said of the objects, a pickle; or refs(umd).p, or refs(google).p, the first of them
    root/train2014/COCO_train2014_000000000009.jpg ...     COCO's pictures; see `PICTURES` for other places
    root/toy_world.json     toy world only: evidence

A picture is a clip that stands still: all frames of a window are equal.
"""

import functools
import pickle
import pickletools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..shared.files import LARGEST, TABLES, read_bytes, read_json
from ..shared.images import require_shape
from ..shared.versions import library
from ..video.frame_cache import image_frames
from .clip import ClipDataSet, ReferringClip
from .expressions import brief, is_name, is_split
from .listing import part_of, read_toy, require_tree, videos_of
from .mevis import decode_rle
from .sentences import clean_expression

HOME = "RefCOCO"
REFS = ("refs(unc).p", "refs(umd).p", "refs(google).p")  # google's parts of RefCOCOg share pictures, so it comes last
PICTURES = ("train2014", "../train2014", "../images/mscoco/images/train2014")  # from the root; the last as in REFER
TREE = "instances.json, refs(unc).p or refs(umd).p, and train2014/COCO_train2014_000000000009.jpg ..."


class Ref(NamedTuple):
    """What is said of an object."""

    split: str
    image: int
    instance: int
    sentences: tuple[str, ...]


class Still(NamedTuple):
    """A sentence and its picture."""

    video: str  # the picture's name
    instance: int
    sentence: str
    evidence: str | None


class RefCOCO(ClipDataSet):
    """Every sentence with its picture, as a `ReferringClip` whose frames are equal.

    `split` is train, val, testA, testB or test, as far as the refs have it, or one of the halves of train (`listing`).
    Other arguments and errors as in `ClipDataSet`.
    """

    name = "refcoco"

    def find(self) -> None:
        tables = self.root / "instances.json", find_refs(self.root)
        require_tree(HOME, self.name, TREE, self.root, *tables)
        self.refs, self.images = tables[1], find_pictures(self.root)
        _, labels = read_toy(self.root / "toy_world.json")
        refs = read_refs(self.refs)
        self.tables = read_instances(tables[0], refs)
        part = part_of(self.split, dict.fromkeys(ref.split for ref in refs), None, "", self.root)
        names = {ref.image: Path(self.tables.images[ref.image][0]).stem for ref in refs if ref.split == part}
        chosen = set(videos_of(self.split, names.values(), None, self.refs))
        self.samples = [
            Still(names[ref.image], ref.instance, text, labels.get((names[ref.image], ref.instance, text), (None,))[0])
            for ref in refs
            if ref.split == part and names[ref.image] in chosen
            for text in ref.sentences
        ]
        if not self.samples:
            raise ValueError(f"{HOME}: no sentence in split {self.split!r} of {self.refs}; is the copy complete?")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> ReferringClip:
        video, number, sentence, evidence = self.samples[k]
        image, category, segmentation = self.tables.objects[number]
        name, height, width = self.tables.images[image]
        indices, slot = self.cut(0, 1)
        frames = image_frames([self.images / name for _ in indices], self.cache)
        require_shape(self.images / name, (height, width), frames.shape[1:3])
        mask = read_object(segmentation, (height, width), f"{self.root / 'instances.json'}: object {number}")
        return ReferringClip(frames, slot, mask, sentence, video, 0, str(number), evidence)

    def window_of(self, k: int) -> Hashable:
        return self.samples[k].video

    def choices(self) -> dict[str, str]:
        return {"refs": self.refs.name}


class Instances(NamedTuple):
    """What instances.json tells of the objects that are spoken of."""

    images: dict[int, tuple[str, int, int]]  # file, height, width
    objects: dict[int, tuple[int, int, Any]]  # picture, category, segmentation


def find_refs(root: Path) -> Path:
    """The file of sentences: the first of `REFS` that there is."""
    return next((root / name for name in REFS if (root / name).is_file()), root / REFS[0])


def find_pictures(root: Path) -> Path:
    """The folder of pictures: the first of `PICTURES` that there is. Raises `FileNotFoundError`."""
    for place in PICTURES:
        if (root / place).is_dir():
            return root / place
    raise FileNotFoundError(
        f"{HOME}: no pictures in {' or '.join(str(root / place) for place in PICTURES)}; unpack COCO's train2014.zip "
        "to one of them"
    )


def read_refs(path: Path) -> list[Ref]:
    """What is said, in the order of the file. Raises `ValueError` naming file and entry."""
    refs = read_pickle(path)
    if not isinstance(refs, list):
        raise ValueError(f"{path}: expected a list, found {type(refs).__name__}; download it again")
    found = [_ref(ref, f"{path}, entry {number}") for number, ref in enumerate(refs, 1)]
    if not any(ref.sentences for ref in found):
        raise ValueError(f"{path} holds no sentence; download it again")
    return found


def _ref(ref: Any, where: str) -> Ref:
    try:
        image, number, split, said = (ref[key] for key in ("image_id", "ann_id", "split", "sentences"))
        texts = [clean_expression(_text(one["sent"])) for one in said]
        if type(image) is not int or type(number) is not int or not isinstance(split, str) or not is_split(split):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{where}: expected a dict of image_id, ann_id, split (a name) and sentences, each a dict with sent; "
            "download the file again"
        ) from None
    return Ref(split, image, number, tuple(dict.fromkeys(text for text in texts if text)))  # a few are empty, or repeat


def _text(text: str) -> str:
    """Python 2 wrote bytes: they were read as Latin-1, and most are UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def read_instances(path: Path, refs: list[Ref]) -> Instances:
    """The pictures and objects that `refs` speak of. Raises `ValueError` naming file and object."""
    stat, wanted = path.stat(), frozenset(ref.instance for ref in refs)
    found = _instances(path, stat.st_mtime_ns, stat.st_size, wanted)
    for ref in refs:
        if ref.instance not in found.objects or found.objects[ref.instance][0] != ref.image:
            raise ValueError(
                f"{path} has no object {ref.instance} in picture {ref.image}, of which the refs speak; download both"
            )
    return found


@functools.lru_cache(1)
def _instances(path: Path, modified: int, size: int, wanted: frozenset[int]) -> Instances:
    """Once a process, as a training reads it for two parts; `modified` and `size` only mark its version."""
    table = read_json(path, most=TABLES)
    try:
        found = _once(_objects(table), wanted)
        shown = {image for image, _, _ in found.values()}
        images = _once(_images(table), shown)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected COCO's images (id, file_name, height, width) and annotations (id, image_id, "
            f"category_id, segmentation), found another thing ({error}); download it again"
        ) from None
    if missing := sorted(shown - set(images)):
        raise ValueError(f"{path} lacks picture {missing[0]}, one of {len(missing)}; download it again")
    names = Counter(Path(name).stem for name, _, _ in images.values())
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"{path} has two pictures named {twice[0]}, and a clip is known by it; rename one")
    return Instances(images, found)


def _once(rows: Iterable[tuple], wanted: Collection[int]) -> dict[int, Any]:
    """What is told of each wanted number; `ValueError` if that is two things."""
    found: dict[int, Any] = {}
    for number, *about in rows:
        if number in wanted and found.setdefault(number, tuple(about)) != tuple(about):
            raise ValueError(f"two things of the number {number}")
    return found


def _objects(table: dict) -> Any:
    for one in table["annotations"]:
        numbers = [one[key] for key in ("id", "image_id", "category_id")]
        if set(map(type, numbers)) != {int}:
            raise ValueError(f"an object with the numbers {brief(numbers)}")
        yield *numbers, one["segmentation"]


def _images(table: dict) -> Any:
    for one in table["images"]:
        number, name, height, width = (one[key] for key in ("id", "file_name", "height", "width"))
        if not isinstance(name, str) or not is_name(name):
            raise ValueError(f"a picture named {brief(name)}")
        if {type(number), type(height), type(width)} != {int} or not (0 < height < 2**16 and 0 < width < 2**16):
            raise ValueError(f"picture {name} with the size {brief([height, width])}")
        yield number, name, height, width


def read_object(segmentation: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    """The mask (H, W) bool of a `segmentation`: polygons, or run lengths. Raises `ValueError`."""
    if isinstance(segmentation, dict):
        try:
            return decode_rle(segmentation, shape)
        except ValueError as error:
            raise ValueError(f"{where}: {error}; download the file again") from None
    if (
        not segmentation
        or not isinstance(segmentation, list)
        or not all(_is_polygon(one, shape) for one in segmentation)
    ):
        raise ValueError(
            f"{where}: expected polygons [x, y, x, y, x, y, ...] within the picture, or run lengths; download it again"
        )
    coco = library("pycocotools.mask", where)
    rle = coco.merge(coco.frPyObjects(segmentation, *shape))
    return decode_rle({"size": list(shape), "counts": rle["counts"].decode()}, shape)


def _is_polygon(points: Any, shape: tuple[int, int]) -> bool:
    """Three points or more, none of them far outside: pycocotools takes what it is given."""
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and all(type(x) in (int, float) and -max(shape) <= x <= 2 * max(shape) for x in points)
    )


# A pickle is a program. The refs need its smallest part: lists, dicts, texts and numbers, put on a stack and in place.

PLAIN = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT "
    "BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 LIST EMPTY_LIST APPEND "
    "APPENDS DICT EMPTY_DICT SETITEM SETITEMS TUPLE EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 MEMOIZE PUT BINPUT LONG_BINPUT "
    "GET BINGET LONG_BINGET "
    "GLOBAL STACK_GLOBAL INST"  # these name a class, and `find_class` refuses it by that name
)
DENSE, MOST = b"](}ld)\x85\x86\x87\x94", 2**24  # opcodes that take much memory for one byte; how many there may be


class PlainUnpickler(pickle._Unpickler):  # in Python, as only there opcodes can be left out
    """Reads lists, dicts, tuples, texts and numbers; all else raises `UnpicklingError` by its name."""

    dispatch = {code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in PLAIN.split())}

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_pickle(path: Path) -> Any:
    """What a pickle of plain values holds. Raises `FileNotFoundError`, or `ValueError` for any other pickle."""
    content = read_bytes(path, LARGEST)
    if sum(map(content.count, (bytes([code]) for code in DENSE))) > MOST:
        raise ValueError(f"{path} holds more than {MOST:,} lists and dicts; download it again")
    try:
        return PlainUnpickler(BytesIO(content), encoding="latin-1").load()
    except KeyError as error:  # an opcode that is not among the plain ones
        name = getattr(pickletools.code2op.get(chr(error.args[0])), "name", "an unknown opcode")
        raise ValueError(f"{path} is not a pickle of plain values ({name}); download it again") from None
    except Exception as error:  # of many classes
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise ValueError(f"{path} is not a pickle of plain values ({said}); download it again") from error
