"""Pictures: as a viewer shows them, by decoders of a fixed list alone, or refused in one line."""

import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from dtse_core.shared import images
from dtse_core.shared.images import image_shape, load_image, read_images, read_index_mask, read_rgb
from dtse_core.video.files import iterate_frames, read_frames, video_info
from tests.packing import png_bytes

ROOT = Path(__file__).resolve().parents[2]
SHOWN = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8).repeat(8, 0).repeat(8, 1)  # (48, 80, 3)


def stored(orientation: int) -> np.ndarray:
    """The pixels that a camera stores under an orientation: EXIF says where row 0 and column 0 of them are seen."""
    seen = np.moveaxis(SHOWN, 2, 0)
    row_from_right, rows_first = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}, "tb"
    first, second = row_from_right[orientation]
    upright = first in rows_first
    pixels = seen if upright else seen.swapaxes(1, 2)
    if first in "br":  # row 0 is at the bottom, or at the right
        pixels = pixels[:, ::-1]
    if second in "br":
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(np.moveaxis(pixels, 0, 2))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_come_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"0{suffix}"
    Image.fromarray(stored(orientation)).save(path, exif=exif, quality=100, subsampling=0, lossless=True)
    assert np.abs(read_rgb(path).astype(int) - SHOWN).max() <= 3
    assert image_shape(path) == SHOWN.shape[:2] == (video_info(tmp_path).height, video_info(tmp_path).width)
    assert np.array_equal(read_frames(tmp_path, [0])[0], next(iterate_frames(tmp_path)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_an_orientation_that_means_nothing_is_passed_over(tmp_path):
    for number, exif in enumerate([b"Exif\0\0MM\0*", b"Exif\0\0nothing", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(SHOWN).save(path, exif=exif, quality=100, subsampling=0)
        assert np.abs(read_rgb(path).astype(int) - SHOWN).max() <= 3


def png(path: Path, values: np.ndarray, color: int) -> Path:
    path.write_bytes(png_bytes(values, 16, color))
    return path


def test_sixteen_bits_become_eight_alike_in_gray_and_in_color(tmp_path):
    wide = np.arange(0, 65536, 13, np.uint16)[: 48 * 80].reshape(48, 80)
    gray = read_rgb(png(tmp_path / "gray.png", wide, 0))
    color = read_rgb(png(tmp_path / "color.png", np.stack([wide, wide[::-1], 65535 - wide], 2), 2))
    assert np.abs(gray - (wide / 257)[..., None]).max() < 1  # of 0 to 255
    assert np.array_equal(gray[..., 0], color[..., 0]) and np.array_equal(gray[::-1, :, 0], color[..., 1])
    opaque = np.full_like(wide, 65535)
    assert np.array_equal(read_rgb(png(tmp_path / "alpha.png", np.stack([wide, opaque], 2), 4)), gray)


def test_transparent_pixels_are_white_and_half_transparent_ones_mix_with_it(tmp_path):
    alpha = np.zeros((48, 80, 1), np.uint8)
    alpha[:, 20:], alpha[:, 40:] = 128, 255
    expected = np.round(SHOWN * (alpha / 255) + 255 * (1 - alpha / 255))
    Image.fromarray(np.concatenate([SHOWN, alpha], 2)).save(tmp_path / "rgba.png")
    assert np.abs(read_rgb(tmp_path / "rgba.png") - expected).max() <= 1
    gray = np.concatenate([SHOWN[..., :1], alpha], 2)
    Image.fromarray(gray, "LA").save(tmp_path / "la.png")
    assert np.abs(read_rgb(tmp_path / "la.png") - expected[..., :1]).max() <= 1
    palette = Image.fromarray((np.arange(48 * 80) % 3).astype(np.uint8).reshape(48, 80))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.save(tmp_path / "p.png", transparency=1)
    colors = np.array([[10, 20, 30], [255, 255, 255], [70, 80, 90]])
    assert np.array_equal(read_rgb(tmp_path / "p.png"), colors[np.asarray(palette)])
    Image.fromarray(SHOWN).save(tmp_path / "key.png", transparency=tuple(SHOWN[0, 0].tolist()))
    assert (read_rgb(tmp_path / "key.png")[:8, :8] == 255).all()


def test_gray_one_bit_and_cmyk_pictures_have_their_colors(tmp_path):
    gray = Image.fromarray(SHOWN[..., 0])
    gray.save(tmp_path / "gray.png")
    gray.convert("1").save(tmp_path / "bit.png")
    assert np.array_equal(read_rgb(tmp_path / "gray.png"), SHOWN[..., :1].repeat(3, 2))
    assert np.array_equal(read_rgb(tmp_path / "bit.png")[..., 1], np.asarray(gray.convert("1")) * np.uint8(255))
    Image.fromarray(SHOWN).convert("CMYK").save(tmp_path / "print.jpg", quality=100, subsampling=0)
    assert np.abs(read_rgb(tmp_path / "print.jpg").astype(int) - SHOWN).max() <= 6


def test_an_animation_is_not_one_picture_and_a_photo_with_a_preview_is(tmp_path):
    pages = [Image.new("RGB", (8, 8), (k, 0, 0)) for k in (0, 200)]
    for name in ("0.png", "0.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(ValueError, match=rf"{name} cannot be read as an image \(an animation; save its frames"):
            read_rgb(tmp_path / name)
    pages[1].save(tmp_path / "0.jpg", "MPO", save_all=True, append_images=pages[:1])
    assert abs(int(read_rgb(tmp_path / "0.jpg")[0, 0, 0]) - 200) <= 3


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
OTHERS = {  # what lies under the name of a picture
    "eps": (EPS, "it is not PNG, JPEG, BMP, WEBP"),
    "text": (b"a picture", "it is not PNG, JPEG, BMP, WEBP"),
    "gif": (b"GIF89a\x08\0\x08\0\0\0\0,\0\0\0\0\x08\0\x08\0\0\x02\x03\x84\x8f\x05\0;", "it is not PNG"),
    "empty": (b"", "empty, 0 bytes"),
    "half": (None, "truncated|broken"),
    "bomb": (30000, "exceeds limit"),
    "small bomb": (12000, "12000 x 12000 pixels; scale it down"),
}


@pytest.mark.filterwarnings("ignore:Image size")  # Pillow's own word on a small bomb
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_a_whole_picture_is_refused_in_one_line_and_starts_no_program(tmp_path, monkeypatch, kind, packed):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: True)
    (content, words), path = OTHERS[kind], tmp_path / "0.png"
    if kind == "half":
        Image.fromarray(SHOWN).save(path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    if "bomb" in kind:
        side, content = content, png(path, np.zeros((1, 1, 3)), 2).read_bytes()
        head = content[12:16] + struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
        content = content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"0\.png cannot be read as an image \(.*({words}).*it again$") as error:
        load_image(path, content if packed else None)
    assert "\n" not in str(error.value)


def test_a_folder_a_pipe_and_nothing_at_all_are_named(tmp_path):
    (tmp_path / "0.png").mkdir()
    os.mkfifo(tmp_path / "1.png")
    for name, words in (("0.png", "a folder"), ("1.png", "a pipe or a device")):
        for read in (read_rgb, image_shape, read_index_mask, lambda path: read_images([path])):
            with pytest.raises(ValueError, match=rf"{name} cannot be read as an image \({words}\)"):
                read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"no image .*2\.png; download it again"):
        read_rgb(tmp_path / "2.png")


@pytest.mark.parametrize("error", [struct.error("x"), IndexError("x"), KeyError("x"), TypeError("x"), zlib.error("x")])
def test_whatever_a_decoder_raises_is_told_in_one_line(tmp_path, monkeypatch, error):
    path = tmp_path / "0.png"
    Image.fromarray(SHOWN).save(path)

    def load(image):
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(ValueError, match=r"0\.png cannot be read as an image"):
        read_rgb(path)


def test_one_function_opens_all_pictures():
    opened = re.compile(r"Image\.open\(|imread|ImageFile\.Parser|imdecode|imageio|read_image\(")
    code = [path for folder in ("dtse_core", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    found = {(p.name, match) for p in code for match in opened.findall(p.read_text(encoding="utf-8"))}
    assert found == {("images.py", "Image.open(")}
    assert Path(images.__file__).read_text(encoding="utf-8").count("Image.open(") == 1
