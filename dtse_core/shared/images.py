"""Reads pictures, frames and masks alike, with errors that name file and remedy; writes masks."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

DECODERS = ("PNG", "JPEG", "BMP", "WEBP")  # of Pillow, the only ones that run on a picture
PIXELS = 2**25  # at most, of a picture or of a video's frame: 8K has a little less
ORIENTATION = 0x0112  # EXIF's tag
TURNS = {  # by its values; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_index_mask(path: Path, content: bytes | None = None) -> np.ndarray:
    """The (H, W) uint8 indices of a palette PNG (mode P; gray, mode L or 1, is read alike): never its colors.

    `content` as in `load_image`. Raises `FileNotFoundError`, or `ValueError` if the file is damaged, not a PNG, of
    another mode, or gray of 2 or 4 bits, of which Pillow would multiply the numbers.
    """
    with _opened(path, content, ("PNG",)) as (image, orientation):  # a JPEG blurs the numbers, whatever its name
        kind = {"L;2": "gray of 2 bits", "L;4": "gray of 4 bits"}.get(image.tile[0][3], f"of mode {image.mode}")
        image = _upright(image, orientation)
    if kind.startswith("gray") or image.mode not in ("P", "L", "1"):
        raise ValueError(
            f"{path}: an image {kind}; masks are palette PNGs (mode P) or gray ones of 8 bits, a number in each pixel: "
            "save it so"
        )
    return np.asarray(image, dtype=np.uint8)


def write_index_mask(path: Path, indices: np.ndarray) -> None:
    """Indices (H, W) uint8 as a palette PNG, as `read_index_mask` reads it; the colors are only for the eye."""
    image = Image.fromarray(indices)  # mode L; a palette makes it P
    image.putpalette([(i * step) % 256 for i in range(256) for step in (101, 57, 197)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def read_images(paths: Sequence[Path]) -> np.ndarray:
    """Frames of one size, repeats read once: (n, H, W, 3) uint8 RGB.

    Raises `FileNotFoundError`, or `ValueError` for a damaged image and for one of another size than the first.
    """
    frames = {path: read_rgb(path) for path in dict.fromkeys(paths)}
    require_alike({path: frame.shape[:2] for path, frame in frames.items()})
    return np.stack([frames[path] for path in paths])


def require_alike(shapes: dict[Path, tuple[int, int]]) -> None:
    """Raises `ValueError` unless all frames of a video have the (height, width) of the first."""
    first, size = next(iter(shapes.items()))
    for path, shape in shapes.items():
        if shape != size:
            raise ValueError(
                f"{path} is {shape}, {first.name} {size} (height, width); the frames of a video are alike: download "
                "them again"
            )


def image_shape(path: Path) -> tuple[int, int]:
    """Height and width of an image as it is shown, from its header only. Raises as `load_image` does."""
    with _opened(path) as (image, orientation):
        return (image.width, image.height) if orientation > 4 else (image.height, image.width)


def require_shape(path: Path, shape: tuple[int, int], frame: tuple[int, int]) -> None:
    """Raises `ValueError` unless a mask has its frame's (height, width): it is never resized."""
    if tuple(shape) != tuple(frame):
        hint = " (transpose forgotten?)" if tuple(shape) == tuple(frame)[::-1] else ""
        sizes = f"the mask is {tuple(shape)}, its frame {tuple(frame)} (height, width){hint}"
        raise ValueError(f"{path}: {sizes}; it must have its frame's size")


def as_mask(path: Path, values: np.ndarray) -> np.ndarray:
    """Numbers as a mask (H, W) bool: all but zero is foreground. Raises `ValueError` for NaN and infinity."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{path}: a mask holds NaN or infinity, neither inside nor outside; download it again")
    return values != 0


def read_rgb(path: Path, content: bytes | None = None) -> np.ndarray:
    """An image's colors as a viewer shows them, (H, W, 3) uint8: upright, and white where it is transparent.

    Of 16 bits the upper eight are taken; color profiles are not applied. Arguments and errors as those of `load_image`.
    """
    image = load_image(path, content)
    if image.mode.startswith("I"):  # 16-bit gray; Pillow itself takes the upper bits of 16-bit colors
        values, clear = np.asarray(image), image.info.get("transparency")  # the one value that is transparent
        image = Image.fromarray(np.where(values == clear, 255, values >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def load_image(path: Path, content: bytes | None = None) -> Image.Image:
    """The image at `path`, upright, or the one that an archive holds there: its bytes are `content` then.

    Every picture that the package reads comes through here, so that only `DECODERS` ever run on a file: Pillow
    would start Ghostscript on an EPS, whatever its name. Raises `FileNotFoundError`, or `ValueError` for what is not
    one whole picture.
    """
    with _opened(path, content) as (image, orientation):
        return _upright(image, orientation)


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    image.load()
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


@contextmanager
def _opened(
    path: Path, content: bytes | None = None, formats: Sequence[str] = DECODERS
) -> Iterator[tuple[Image.Image, int]]:
    """An image of which only the header is read, and its orientation; errors in the block become this image's."""
    try:
        if content is None and path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("a folder" if path.is_dir() else "a pipe or a device")
        with Image.open(path if content is None else io.BytesIO(content), formats=formats) as image:
            if getattr(image, "is_animated", False) and image.format != "MPO":  # a photo that carries previews
                raise ValueError("an animation; save its frames one by one")
            if image.width * image.height > PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels; scale it down")
            yield image, _orientation(image)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no image {path}; download it again") from error
    except Exception as error:  # Pillow's decoders have many
        empty = content == b"" or (content is None and path.is_file() and not path.stat().st_size)
        other = f"it is not {', '.join(formats)}" if isinstance(error, UnidentifiedImageError) else error
        why = "empty, 0 bytes" if empty else other
        raise ValueError(f"{path} cannot be read as an image ({why}); write or download it again") from error


def _orientation(image: Image.Image) -> int:
    """1 to 8 as in EXIF; 1 where there is none, or none that is valid, before the pixels."""
    exif = Image.Exif()
    with suppress(Exception):  # a viewer shows a picture with damaged EXIF all the same
        exif.load(image.info.get("exif"))
    return exif.get(ORIENTATION) if exif.get(ORIENTATION) in TURNS else 1
