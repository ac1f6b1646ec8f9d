"""Videos of every kind that people bring, drawn and encoded here: container x codec x cut x orientation x timing.

A row names a file and says how FFmpeg's own program makes it. Frames are drawn: each bears its number as a strip of
light and dark blocks, has a dark red corner at the lower left and a box that moves, so that what a reader gives says
itself which frame it is and whether it stands upright. `referee` decodes a file with the same program, which shares no
code with the package beyond FFmpeg's decoders.
"""

import re
import shlex
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

FRAMES, WIDTH, HEIGHT, BITS = 24, 96, 64, 6
Step = str | Callable[[Path], None]  # arguments of ffmpeg, or what works on the row's folder


@dataclass(frozen=True)
class Row:
    """A file and what is known of it. Steps are run one after the other in a folder of the row's own.

    The first takes drawn frames as its first input; the last writes the file, whose name is added to its arguments.
    """

    name: str
    steps: tuple[Step, ...]
    shows: tuple[int, ...] | None = tuple(range(FRAMES))  # numbers of the frames; None: what the referee shows
    size: tuple[int, int] = (WIDTH, HEIGHT)  # as drawn, upright
    count: int = FRAMES  # of drawn frames
    rate: Fraction = Fraction(25)  # of the drawn frames
    stored: Callable[[np.ndarray], np.ndarray] = np.asarray  # how an upright frame lies in the file
    also: str = ""  # further inputs of the first step
    chosen: int = 0  # the video stream that counts: the largest
    decoder: str = ""  # that shows transparency; FFmpeg's own ones of VP8 and VP9 leave it out
    aspect: Fraction = Fraction(1)  # width over height of a pixel as shown
    refused: str = ""  # what the error says, where there is nothing to show
    noted: bool = False  # what is missing at its end is told


def row(name: str, *steps: Step, **known) -> Row:
    return Row(name, steps, **known)


def remux(name: str, how: str, source: str = "mp4", before: str = "", after: str = "", **known) -> Row:
    """A file whose packets are copied from another one: options before it are of reading, those after of writing."""
    return row(name, f"{how} first.{source}", f"{before} -i first.{source} -c copy {after}", **known)


def numbers(*spans: tuple[int, int]) -> tuple[int, ...]:
    """Those from the first up to and with the last of each pair."""
    return tuple(k for first, last in spans for k in range(first, last + 1))


def draw(k: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """Frame `k`, (H, W, 3) uint8 RGB, upright."""
    width, height = size
    frame = np.full((height, width, 3), (120, 170, 200), np.uint8)
    block, band = width // BITS, height // 4
    for bit in range(BITS):
        frame[:band, block * bit : block * (bit + 1)] = 235 if k >> (BITS - 1 - bit) & 1 else 20
    left = width // 4 + k * width // 80
    frame[height * 3 // 8 : height * 5 // 8, left : left + width // 6] = (40, 190, 60)
    frame[height * 3 // 4 :, : width // 6] = (190, 30, 30)
    return frame


def number_of(frame: np.ndarray) -> int | None:
    """The number that a frame bears; None where it does not stand upright."""
    (height, width), gray = frame.shape[:2], frame @ np.array([0.299, 0.587, 0.114])
    block, band = width / BITS, height / 4
    corners = [gray[int(3.4 * band) : int(3.7 * band), at : at + int(block / 2)].mean() for at in (2, int(5.3 * block))]
    if not corners[0] + 30 < corners[1]:
        return None
    middles = [slice(int(block * (bit + 0.25)), int(block * (bit + 0.75))) for bit in range(BITS)]
    lit = [gray[int(band * 0.25) : int(band * 0.75), middle].mean() > 128 for middle in middles]
    return sum(int(on) << (BITS - 1 - bit) for bit, on in enumerate(lit))


def ffmpeg() -> str:
    try:
        import imageio_ffmpeg
    except ImportError:
        pytest.fail("imageio-ffmpeg is not installed: pip install -r requirements-dev.lock", pytrace=False)
    return imageio_ffmpeg.get_ffmpeg_exe()


def run(arguments: list[str], folder: Path, given: bytes = b"") -> tuple[bytes, str]:
    """Standard output, and what the program said."""
    done = subprocess.run([ffmpeg(), "-hide_banner", "-nostats", *arguments], cwd=folder, input=given,
                          capture_output=True, env={"SVT_LOG": "0"})  # fmt: skip
    said = done.stderr.decode(errors="replace")
    if done.returncode:
        raise RuntimeError(f"ffmpeg {shlex.join(arguments)}\n{said}")
    return done.stdout, said


def build(row: Row, folder: Path) -> Path:
    """Makes a row's file in a new folder."""
    folder.mkdir()
    frames = np.stack([row.stored(draw(k, row.size)) for k in range(row.count)])
    height, width = frames.shape[1:3]
    drawn = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {row.rate} -i - {row.also} -pix_fmt yuv420p -threads 1"
    for k, step in enumerate(row.steps):
        if callable(step):
            step(folder)
        else:
            target = [f"file:{row.name}"] if k == len(row.steps) - 1 else []
            arguments = [*shlex.split(step if k else f"{drawn} {step}"), *target]
            run(["-y", "-loglevel", "error", *arguments], folder, b"" if k else frames.tobytes())
    return folder / row.name


@dataclass
class Seen:
    """What the referee shows of a file."""

    frames: list[np.ndarray] = field(default_factory=list)  # (H, W, 3) uint8 RGB, alpha over white
    starts: list[float] = field(default_factory=list)  # seconds from the first
    aspect: Fraction = Fraction(1)


def referee(row: Row, path: Path) -> Seen:
    """`ffmpeg -i FILE -map 0:v:N -fps_mode passthrough`: frames as the program shows them, upright."""
    decoder = ["-c:v", row.decoder] if row.decoder else []
    pictures, said = run(
        ["-loglevel", "info", "-threads", "1", *decoder, "-i", f"file:{path}", "-map", f"0:v:{row.chosen}",
         "-fps_mode", "passthrough", "-vf", "showinfo,format=rgb24|rgba", "-f", "image2pipe", "-c:v", "pam", "-"],
        path.parent,
    )  # fmt: skip
    seen, at = Seen(), 0
    header = re.compile(rb"P7\nWIDTH (\d+)\nHEIGHT (\d+)\nDEPTH (\d)\nMAXVAL 255\nTUPLTYPE RGB(_ALPHA)?\nENDHDR\n")
    while found := header.match(pictures, at):
        width, height, depth = (int(found[k]) for k in (1, 2, 3))
        at = found.end() + width * height * depth
        frame = np.frombuffer(pictures[found.end() : at], np.uint8).reshape(height, width, depth)
        if depth == 4:
            alpha = frame[..., 3:] / 255
            frame = np.round(frame[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        seen.frames.append(frame)
    assert at == len(pictures)
    tick = Fraction(re.search(r"config in time_base: (\d+/\d+)", said)[1])
    stamps = [int(t) for t in re.findall(r"\] n: *\d+ pts: *(-?\d+|NOPTS)", said) if t != "NOPTS"]
    seen.starts = [float((t - stamps[0]) * tick) for t in stamps]
    if sar := re.search(r" sar:(\d+)/(\d+)", said):
        seen.aspect = Fraction(int(sar[1]) or 1, int(sar[2]) if int(sar[1]) else 1)
    return seen


def changed(name: str, how: str, change: Callable[[bytes], bytes], **known) -> Row:
    """A file of which bytes are missing, or more, or others."""
    whole = f"first.{name.rpartition('.')[2]}"
    return row(
        name, f"{how} {whole}", lambda folder: write(folder / name, change((folder / whole).read_bytes())), **known
    )


def part(name: str, how: str, first: float, last: float, unit: int = 1, **known) -> Row:
    """The bytes of a file between two shares of its length, in whole units."""

    def cut(data: bytes) -> bytes:
        start, stop = (int(len(data) * share) // unit * unit for share in (first, last))
        return data[start:stop]

    return changed(name, how, cut, **known)


def joined(name: str, how: str, then: str = "-c copy", **known) -> Row:
    """What `cat` makes of a file and one more, which is another copy or made of it."""
    first, second = (f"{part}.{name.rpartition('.')[2]}" for part in ("first", "second"))
    return row(name, f"{how} {first}", f"-i {first} {then} {second}", cat(name, first, second), **known)


def chained(name: str, how: str, then: str, **known) -> Row:
    """As `joined`, by FFmpeg's list of files, which sets the clock right."""
    first, second = (f"{part}.{name.rpartition('.')[2]}" for part in ("first", "second"))
    said = f"file {first}\nfile {second}\n".encode()
    steps = f"-i {first} {then} {second}", lambda folder: write(folder / "list", said), "-f concat -i list -c copy"
    return row(name, f"{how} {first}", *steps, **known)


def segments(name: str, *files: str, **known) -> Row:
    """DASH as packagers write it, in three segments, of which some are joined."""
    cut = "-f dash -seg_duration 0.32 -init_seg_name init -media_seg_name $Number$"
    return row(name, f"{H264} {cut} list.mpd", cat(name, *files), **known)


def cat(name: str, *files: str) -> Step:
    return lambda folder: write(folder / name, b"".join((folder / file).read_bytes() for file in files))


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def edited(name: str, how: str, *spans: tuple[float, float], **known) -> Row:
    """An mp4 with an edit list of (start, duration) in seconds; a start of -1 shows nothing for as long."""

    def edit(data: bytes) -> bytes:
        at = {box: data.index(box) - 4 for box in (b"mvhd", b"mdhd", b"edts", b"trak", b"moov")}
        assert data.index(b"mdat") < at[b"moov"] and data[at[b"mdhd"] + 8] == data[at[b"mvhd"] + 8] == 0
        movie, media = (int.from_bytes(data[at[box] + 20 :][:4], "big") for box in (b"mvhd", b"mdhd"))
        elst = struct.pack(">I", len(spans))
        for start, long in spans:
            elst += struct.pack(">IiI", round(long * movie), max(round(start * media), -1), 1 << 16)
        new = struct.pack(">I4sI4sI", len(elst) + 20, b"edts", len(elst) + 12, b"elst", 0) + elst
        old = int.from_bytes(data[at[b"edts"] :][:4], "big")
        out = bytearray(data[: at[b"edts"]] + new + data[at[b"edts"] + old :])
        for box in (b"trak", b"moov"):
            struct.pack_into(">I", out, at[box], struct.unpack_from(">I", out, at[box])[0] + len(new) - old)
        return bytes(out)

    return changed(name, how, edit, **known)


X264, X265 = "-c:v libx264", "-c:v libx265 -x265-params log-level=none:pools=1"
VP8, VP9, AV1 = "-c:v libvpx -b:v 300k", "-c:v libvpx-vp9", "-c:v libsvtav1 -preset 12"
MPEG1, MPEG2, MPEG4 = (f"-c:v {codec} -q:v 3" for codec in ("mpeg1video", "mpeg2video", "mpeg4"))
MJPEG, THEORA, GIF, FFV1 = "-c:v mjpeg -q:v 3", "-c:v libtheora -q:v 7", "-c:v gif -pix_fmt rgb8", "-c:v ffv1"
H264 = f"{X264} -bf 2 -g 8"
OPEN = f"{H264} -x264-params open-gop=1:keyint=8:min-keyint=8:scenecut=0"
OPEN265 = f"{X265}:open-gop=1:keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0"
FRAGMENTS = "-movflags frag_keyframe+empty_moov"
DASH = "-f dash -single_file 1 -single_file_name whole.mp4 -adaptation_sets id=0,streams=v -seg_duration 0.32"
LATE, EARLY = "-output_ts_offset 5", "-avoid_negative_ts disabled"
TRANSLUCENT = "-vf format=rgba,colorchannelmixer=aa=0.7"
BT709 = "-vf scale=out_color_matrix=bt709 -colorspace bt709 -color_primaries bt709 -color_trc bt709"
FULL = "-vf scale=out_range=full -color_range pc"
UNEVENLY = r"-vf select='not(eq(n\,3)+between(n\,9\,14)+eq(n\,20))' -fps_mode vfr"
UNEVEN = numbers((0, 2), (4, 8), (15, 19), (21, 23))
LOST4, LOST8, HOLE = (rf"-bsf:v noise=drop='between(n\,{span})'" for span in (r"0\,3", r"0\,7", r"5\,8"))
SOUND = "-f lavfi -i sine=duration=0.96"
SMALL = "-f lavfi -i testsrc=size=48x32:rate=25:duration=0.96"
COVER = "-f lavfi -i color=red:size=320x240:duration=0.04"
UPRIGHT = {
    "-display_rotation 90": lambda frame: np.rot90(frame, -1),
    "-display_rotation 180": lambda frame: np.rot90(frame, 2),
    "-display_rotation 270": lambda frame: np.rot90(frame, 1),
    "-display_hflip": lambda frame: frame[:, ::-1],
    "-display_vflip": lambda frame: frame[::-1],
    "-display_rotation 90 -display_hflip": lambda frame: np.rot90(frame[:, ::-1], -1),
    "-display_rotation 270 -display_hflip": lambda frame: np.rot90(frame[:, ::-1], 1),
}  # what lies in the file, by how a player is told to turn it


def turned(name: str, how: str, turn: str, source: str = "mp4", after: str = "", **known) -> Row:
    return remux(name, how, source, turn, after, stored=UPRIGHT[turn], **known)


# fmt: off
CONTAINERS = [
    row("h264.mp4", X264),
    row("h264_no_b.mp4", f"{X264} -bf 0"),
    row("h264_b_pyramid.mp4", f"{X264} -bf 8 -b_strategy 0 -g 12 -x264-params b-pyramid=normal"),
    row("h264_open_gop.mp4", OPEN),
    row("h264_intra_refresh.mp4", f"{X264} -x264-params intra-refresh=1:keyint=10:bframes=0"),
    row("h264_all_key.mp4", f"{X264} -g 1"),
    row("h264_index_first.mp4", f"{H264} -movflags +faststart"),
    row("h264_slices.mp4", f"{X264} -slices 4"),
    row("h264_fields.mp4", f"{X264} -flags +ildct+ilme -x264-params tff=1"),
    row("h264_one.mp4", X264, count=1, shows=(0,)),
    row("h264_two.mp4", f"{X264} -bf 2", count=2, shows=(0, 1)),
    row("h264_no_edits.mp4", f"{H264} -use_editlist 0"),
    row("h264_negative_offsets.mp4", f"{H264} -movflags +negative_cts_offsets"),
    row("hevc.mp4", X265),
    row("hevc_open_gop.mp4", OPEN265),
    row("hevc_tag.mov", f"{X265} -tag:v hvc1"),
    row("av1.mp4", AV1),
    row("vp9.mp4", VP9),
    row("mpeg4.mp4", MPEG4),
    row("mpeg4_b.mp4", f"{MPEG4} -bf 2 -g 8"),
    row("mpeg2.mp4", f"{MPEG2} -bf 2"),
    row("mpeg1.mp4", MPEG1),
    row("mjpeg.mp4", MJPEG),
    row("h264.mov", H264),
    row("prores.mov", "-c:v prores_ks -profile:v 2 -pix_fmt yuv422p10le"),
    row("dnxhd.mov", "-c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p", size=(256, 128)),
    row("animation.mov", "-c:v qtrle -pix_fmt rgb24"),
    row("png.mov", "-c:v png -pix_fmt rgb24"),
    row("mjpeg.mov", MJPEG),
    row("raw.mov", "-c:v rawvideo -pix_fmt uyvy422"),
    row("h264.mkv", f"{X264} -bf 3 -g 12"),
    row("hevc.mkv", X265),
    row("vp8.mkv", VP8),
    row("av1.mkv", AV1),
    row("ffv1.mkv", FFV1),
    row("theora.mkv", THEORA),
    row("mpeg2.mkv", f"{MPEG2} -bf 2"),
    row("mpeg4_b.mkv", f"{MPEG4} -bf 2"),
    row("huffyuv.mkv", "-c:v huffyuv -pix_fmt yuv422p"),
    row("utvideo.mkv", "-c:v utvideo"),
    row("live.mkv", f"{H264} -live 1"),
    row("vp8.webm", VP8),
    row("vp8_hidden_frames.webm", f"{VP8} -auto-alt-ref 1 -lag-in-frames 10 -arnr-maxframes 5 -g 40",
        count=50, shows=numbers((0, 49))),
    row("vp9.webm", f"{VP9} -b:v 0 -crf 30"),
    row("vp9_hidden_frames.webm", f"{VP9} -b:v 200k -auto-alt-ref 1 -lag-in-frames 16 -g 40",
        count=40, shows=numbers((0, 39))),
    row("av1.webm", AV1),
    row("av1_aom.webm", "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 10"),
    row("mpeg4.avi", MPEG4),
    row("mpeg4_packed_b.avi", "-c:v libxvid -q:v 3 -bf 2", shows=numbers((0, 21))),  # Xvid keeps the last two
    row("h264.avi", f"{X264} -bf 0"),
    row("h264_b.avi", H264),
    row("mjpeg.avi", MJPEG),
    row("huffyuv.avi", "-c:v huffyuv -pix_fmt rgb24"),
    row("ffv1.avi", f"{FFV1} -level 3 -slices 4"),
    row("msmpeg4.avi", "-c:v msmpeg4 -q:v 3"),
    row("raw.avi", "-c:v rawvideo -pix_fmt bgr24"),
    row("h264.ts", f"{X264} -bf 0"),
    row("h264_b.ts", f"{X264} -bf 3 -g 12"),
    row("h264_open_gop.ts", OPEN),
    row("hevc.ts", X265),
    row("mpeg2.ts", f"{MPEG2} -bf 2 -g 8"),
    row("mpeg2_fields.ts", f"{MPEG2} -flags +ildct+ilme -alternate_scan 1"),
    row("h264.m2ts", f"{H264} -mpegts_m2ts_mode 1"),
    row("mpeg1.mpg", MPEG1),
    row("mpeg2.mpg", f"{MPEG2} -bf 2 -g 8"),
    row("mpeg2.vob", f"{MPEG2} -bf 2 -f dvd"),
    row("h264.flv", H264),
    row("sorenson.flv", "-c:v flv -q:v 3"),
    row("theora.ogv", THEORA),
    row("wmv2.wmv", "-c:v wmv2 -q:v 3"),
    row("msmpeg4.asf", "-c:v msmpeg4 -q:v 3"),
    row("h263.3gp", "-c:v h263 -q:v 3", size=(128, 96), aspect=Fraction(12, 11)),  # H.263's own
    row("h264.3gp", X264),
    row("mpeg4.nut", f"{MPEG4} -bf 2"),
    row("mpeg2.mxf", f"{MPEG2} -bf 2 -g 8"),
    row("picture.gif", GIF),
    row("raw.y4m", "-c:v rawvideo"),
    row("bare.h264", H264),
    row("bare.hevc", X265),
    row("bare.m2v", f"{MPEG2} -bf 2"),
    row("bare.mjpeg", MJPEG),
    *(row(f"rate_12.{kind}", how, rate=Fraction(12)) for kind, how in (("h264", H264), ("hevc", X265), ("m2v", MPEG2))),
    row("bare.ivf", VP9),
    row("fragments.mp4", f"{H264} {FRAGMENTS}"),
    row("fragments_no_b.mp4", f"{X264} -bf 0 -g 8 {FRAGMENTS}"),
    row("fragments_default_base.mp4", f"{X264} -bf 0 -g 8 {FRAGMENTS}+default_base_moof"),
    row("fragment_each_frame.mp4", f"{H264} -movflags frag_every_frame+empty_moov"),
    row("fragments_delayed.mp4", f"{H264} -movflags frag_keyframe+delay_moov"),
    row("fragments_index.mp4", f"{H264} -movflags dash+global_sidx+frag_keyframe"),
    row("fragments_hybrid.mp4", f"{H264} -movflags +frag_keyframe+hybrid_fragmented"),
    row("fragments_hevc.mp4", f"{X265}:keyint=8 -movflags cmaf+frag_keyframe"),
    row("fragments_av1.mp4", f"{AV1} -g 8 {FRAGMENTS}"),
    row("dash.mp4", f"{H264} {DASH} list.mpd", lambda folder: (folder / "whole.mp4").replace(folder / "dash.mp4")),
    segments("dash_joined.mp4", "init", "1", "2", "3"),
    segments("dash_joined_late.mp4", "init", "2", "3", shows=numbers((8, 23))),
    remux("vp9_hidden_frames_alone.mkv", f"{VP9} -b:v 200k -auto-alt-ref 1 -lag-in-frames 16",
          after="-bsf:v vp9_superframe_split"),
    row("av1_keys.mp4", f"{AV1} -g 8"),
    row("bare.obu", AV1),
    row("camcorder.dv", "-c:v dvvideo", size=(720, 576), count=6, shows=numbers((0, 5)), aspect=Fraction(16, 15)),
    row("real.rm", "-c:v rv10 -q:v 3", size=(176, 144)),
    row("timecode.mov", f"{H264} -timecode 01:00:00:00"),
    row("no_duration.flv", f"{H264} -flvflags no_duration_filesize"),
    changed("more_bytes.mp4", H264, lambda data: data + b"appended by a camera" * 9),
    changed("more_zeros.mp4", H264, lambda data: data + bytes(999)),
    changed("more_zeros.mkv", H264, lambda data: data + bytes(999)),
    changed("more_bytes.avi", MPEG4, lambda data: data + b"appended by a camera" * 9),
    changed("unfinished.avi", MPEG4, lambda data: data[:4] + bytes(4) + data[8:]),  # its length was never written
    changed("open_end.mp4", f"{H264} -movflags +faststart",
            lambda data: data[: data.index(b"mdat") - 4] + bytes(4) + data[data.index(b"mdat") :]),
    *(row(f"one.{kind}", how, count=1, shows=(0,)) for kind, how in (
        ("mkv", X264), ("webm", VP9), ("ts", X264), ("avi", MPEG4), ("gif", GIF), ("flv", X264), ("mpg", MPEG2))),
    row("an_mp4_named.avi", f"{H264} -f mp4"),
    row("an_avi_named.mp4", f"{MPEG4} -f avi"),
    row("a_ts_named.mpg", f"{H264} -f mpegts"),
    row("a_webm_without_a_suffix", f"{VP9} -f webm"),
]
NAMES = [
    *(row(name, X264) for name in (
        "2026-11-25T12:30:45.mp4", "concat:a|b.mp4", "frame%03d.mp4", "-i.mp4", "pipe:0.mp4", "a 'quoted\" name.mp4",
        "日本語.mp4", "[a]*?.mp4", "movie=a.mp4", "file:a.mp4", "~.mp4")),
]
PIXELS = [
    row("yuv422.mp4", f"{X264} -pix_fmt yuv422p"),
    row("yuv444.mp4", f"{X264} -pix_fmt yuv444p"),
    row("rgb.mp4", "-c:v libx264rgb -pix_fmt rgb24"),
    row("gray.mp4", f"{X264} -pix_fmt gray"),
    row("gray.mkv", f"{FFV1} -pix_fmt gray"),
    row("gray16.mkv", f"{FFV1} -pix_fmt gray16le"),
    row("ten_bits.mp4", f"{X264} -pix_fmt yuv420p10le"),
    row("ten_bits.mov", f"{X265} -pix_fmt yuv422p10le"),
    row("ten_bits.webm", f"{VP9} -pix_fmt yuv420p10le"),
    row("ten_bits_av1.mp4", f"{AV1} -pix_fmt yuv420p10le"),
    row("twelve_bits.mkv", f"{X265} -pix_fmt yuv444p12le"),
    row("sixteen_bits.mkv", f"{FFV1} -pix_fmt rgb48le"),
    row("palette.avi", "-c:v msrle -pix_fmt pal8 -vf split[a][b];[a]palettegen[p];[b][p]paletteuse"),
    row("full_range.mp4", f"{X264} {FULL}"),
    row("full_range.mov", f"{MJPEG} {FULL}"),
    row("bt709.mp4", f"{X264} {BT709}"),
    row("bt709.webm", f"{VP9} {BT709}"),
    row("bt2020.mkv", f"{X265} -pix_fmt yuv420p10le -vf scale=out_color_matrix=bt2020 -colorspace bt2020nc"),
    row("hdr.mkv", f"{X265} -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc"),
    row("alpha.mov", f"-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le {TRANSLUCENT}"),
    row("alpha.mkv", f"{FFV1} -pix_fmt bgra {TRANSLUCENT}"),
    row("alpha.webm", f"{VP8} -pix_fmt yuva420p -auto-alt-ref 0 {TRANSLUCENT}", decoder="libvpx"),
    row("alpha_vp9.webm", f"{VP9} -pix_fmt yuva420p -auto-alt-ref 0 {TRANSLUCENT}", decoder="libvpx-vp9"),
    row("alpha_animation.mov", f"-c:v qtrle -pix_fmt argb {TRANSLUCENT}"),
    row("odd.mp4", f"{X264} -pix_fmt yuv444p", size=(97, 65)),
    row("odd_mpeg4.mp4", MPEG4, size=(99, 63)),
    row("odd.webm", VP9, size=(97, 65)),
    row("odd.mkv", FFV1, size=(101, 67)),
    row("odd.gif", GIF, size=(97, 65)),
    row("narrow.mp4", X264, size=(54, 98)),
    row("narrow.ts", H264, size=(54, 98)),
    remux("cropped_left.mkv", f"{X264} -vf pad=112:66:16:2", after="-bsf:v h264_metadata=crop_left=16:crop_top=2"),
    remux("cropped.mp4", f"{X264} -vf pad=104:70:0:0", after="-bsf:v h264_metadata=crop_right=16:crop_bottom=16"),
]
TIMING = [
    row("rate_23976.mp4", X264, rate=Fraction(24000, 1001)),
    row("rate_2997.ts", H264, rate=Fraction(30000, 1001)),
    row("rate_1.mp4", X264, rate=Fraction(1)),
    row("rate_60.mkv", X264, rate=Fraction(60)),
    row("rate_15.avi", MPEG4, rate=Fraction(15)),
    row("rate_1499.webm", VP9, rate=Fraction(15000, 1001)),
    row("variable.mp4", f"{X264} -bf 0 {UNEVENLY}", shows=UNEVEN),
    row("variable_b.mp4", f"{H264} {UNEVENLY}", shows=UNEVEN),
    row("variable.mkv", f"{H264} {UNEVENLY}", shows=UNEVEN),
    row("variable.webm", f"{VP9} {UNEVENLY}", shows=UNEVEN),
    row("variable.ts", f"{H264} {UNEVENLY}", shows=UNEVEN),
    row("variable_fragments.mp4", f"{X264} -bf 0 -g 6 {UNEVENLY} {FRAGMENTS}", shows=UNEVEN),
    row("variable.gif", f"{GIF} {UNEVENLY}", shows=UNEVEN),
    row("variable.flv", f"{X264} {UNEVENLY}", shows=UNEVEN),
    row("variable.wmv", f"-c:v wmv2 -q:v 3 {UNEVENLY}", shows=UNEVEN),
    row("jitter.mp4", f"{H264} -vf settb=1/90000,setpts=PTS+1000*sin(N) -fps_mode vfr -enc_time_base 1/90000"),
    row("pause.mp4", rf"{H264} -vf setpts='PTS+gt(N\,11)*60/TB' -fps_mode vfr"),
    row("pause.mkv", rf"{H264} -vf setpts='PTS+gt(N\,11)*60/TB' -fps_mode vfr"),
    joined("pause.ts", H264, "-c copy -output_ts_offset 100", shows=numbers((0, 23), (0, 23))),
    row("rate_240.mp4", H264, rate=Fraction(240)),
    row("slowing.mp4", f"{X264} -vf setpts=PTS+N*N/50/TB/25 -fps_mode vfr"),
    row("dropped.avi", f"{MPEG4} {UNEVENLY}", shows=UNEVEN),
    row("dropped_mjpeg.avi", f"{MJPEG} {UNEVENLY}", shows=UNEVEN),
    row("late.mp4", f"{H264} {LATE}"),
    row("late.mkv", f"{H264} {LATE}"),
    row("late.ts", f"{H264} {LATE}"),
    row("late_fragments.mp4", f"{H264} {LATE} {FRAGMENTS}"),
    row("wrapped.ts", f"{H264} -output_ts_offset 95443.2"),  # its clock begins anew in the middle
    remux("early.mp4", H264, "mkv", "-itsoffset -0.2", EARLY, shows=numbers((5, 23))),
    remux("early_no_b.mp4", f"{X264} -bf 0", "mkv", "-itsoffset -0.2", EARLY, shows=numbers((5, 23))),
    remux("early.mkv", H264, "mkv", "-itsoffset -0.2", EARLY),
    remux("early.ts", H264, "mkv", "-itsoffset -0.2", f"{EARLY} -muxdelay 0 -muxpreload 0"),
    row("aspect.mp4", f"{X264} -vf setsar=4/3", aspect=Fraction(4, 3)),
    row("aspect.mov", f"{X264} -vf setsar=16/11", aspect=Fraction(16, 11)),
    row("aspect.mkv", f"{X264} -vf setsar=2/3", aspect=Fraction(2, 3)),
    row("aspect.ts", f"{X264} -vf setsar=16/15", aspect=Fraction(16, 15)),
    row("aspect.avi", f"{MPEG4} -vf setsar=12/11", aspect=Fraction(12, 11)),
    row("aspect.mpg", f"{MPEG2} -aspect 16:9", aspect=Fraction(32, 27)),
    row("aspect.ogv", f"{THEORA} -vf setsar=4/3", aspect=Fraction(4, 3)),
    remux("aspect_container.mp4", X264, after="-aspect 2:1", aspect=Fraction(4, 3)),
    turned("aspect_turned.mp4", f"{X264} -vf setsar=4/3", "-display_rotation 90", aspect=Fraction(3, 4)),
]
ORIENTATION = [
    *(turned(f"turned_{turn}.{kind}", H264, f"-display_rotation {turn}", kind)
      for kind in ("mp4", "mov", "mkv") for turn in (90, 180, 270)),
    *(turned(f"{flip}.{kind}", H264, f"-display_{flip}", kind)
      for kind in ("mp4", "mov") for flip in ("hflip", "vflip")),
    *(turned(f"turned_{turn}_hflip.mp4", X264, f"-display_rotation {turn} -display_hflip") for turn in (90, 270)),
    turned("turned_90_hevc.mp4", X265, "-display_rotation 90"),
    turned("turned_90_mpeg4.mp4", MPEG4, "-display_rotation 90"),
    turned("turned_270_fragments.mp4", H264, "-display_rotation 270", after=FRAGMENTS),
    turned("turned_90_odd.mp4", f"{X264} -pix_fmt yuv444p", "-display_rotation 90", size=(97, 65)),
    *(remux(name, X264, after=f"-bsf:v h264_metadata=display_orientation=insert:rotate={turn}",
            stored=UPRIGHT[f"-display_rotation {turn}"])
      for name, turn in (("turned_90_in_the_stream.ts", 90), ("turned_180_in_the_stream.mkv", 180))),
]
CUTS = [
    remux("cut.mp4", f"{H264} -g 10", before="-ss 0.5", shows=numbers((13, 23))),
    remux("cut_no_b.mp4", f"{X264} -bf 0 -g 10", before="-ss 0.5", shows=numbers((13, 23))),
    remux("cut_both_ends.mp4", f"{H264} -g 10", before="-ss 0.5 -t 0.3", shows=numbers((13, 21))),
    remux("cut.mov", f"{H264} -g 10", "mov", "-ss 0.5", shows=numbers((13, 23))),
    remux("cut.mkv", f"{H264} -g 10", before="-ss 0.5", shows=numbers((10, 23))),
    remux("cut.webm", f"{VP9} -g 10", "webm", "-ss 0.5", shows=numbers((10, 23))),
    remux("cut.ts", f"{H264} -g 10", "ts", "-ss 0.2", shows=numbers((10, 23))),
    remux("cut_mov_to.avi", MJPEG, "mov", "-ss 0.32", shows=numbers((8, 23))),
    remux("cut.avi", f"{MPEG4} -g 10", "avi", "-ss 0.5", shows=numbers((10, 23))),
    remux("cut_hevc.mp4", OPEN265, before="-ss 0.5", shows=numbers((13, 23))),
    remux("cut_open_gop.mp4", OPEN, before="-ss 0.5", shows=numbers((13, 23))),
    remux("cut_open_gop.mkv", OPEN, "mkv", "-ss 0.5", shows=numbers((8, 23))),
    row("cut_twice.mp4", f"{H264} -g 6 first.mp4", "-ss 0.2 -i first.mp4 -c copy second.mp4",
        "-ss 0.2 -i second.mp4 -c copy", shows=numbers((10, 23))),
    remux("cut_fragments.mp4", f"{H264} -g 10", before="-ss 0.5", after=FRAGMENTS, shows=numbers((10, 23))),
    *(remux(f"no_key.{kind}", f"{H264} -g 12", after=LOST4, shows=numbers((12, 23)))
      for kind in ("mp4", "mov", "mkv", "ts", "avi", "flv")),
    # the pictures that lead a key frame of an open group need the group before it
    *(remux(f"no_key_hevc.{kind}", OPEN265, "mkv", after=LOST8, shows=numbers((16, 23)))
      for kind in ("mp4", "mkv", "ts")),
    *(remux(f"no_key_open_gop.{kind}", OPEN, "ts", after=LOST8, shows=numbers((8, 23))) for kind in ("ts", "mkv")),
    remux("no_key.webm", f"{VP9} -g 12", "webm", after=LOST4, shows=numbers((12, 23))),
    remux("no_key_vp8.webm", f"{VP8} -g 12", "webm", after=LOST4, shows=numbers((12, 23))),
    remux("no_key.mpg", f"{MPEG2} -bf 2 -g 12", "mpg", after=LOST4, shows=numbers((12, 23))),
    remux("no_key_mpeg4.avi", f"{MPEG4} -g 12", "avi", after=LOST4, shows=None),
    remux("hole.mkv", f"{H264} -g 12", after=HOLE, shows=None),
    remux("hole.mov", f"{X264} -bf 2 -g 6 -x264-params scenecut=0:keyint-min=1", "ts", after=HOLE, shows=None),
    remux("hole.mp4", f"{X264} -bf 0 -g 12", after=HOLE, shows=None),
    part("recorded.ts", f"{H264} -g 6", 0.3, 1, 188, shows=numbers((6, 23))),
    part("recorded_hevc.ts", OPEN265, 0.3, 1, 188, shows=numbers((8, 23))),
    part("recorded_mpeg2.ts", f"{MPEG2} -bf 2 -g 6", 0.3, 1, 188, shows=numbers((12, 23))),
    joined("joined.ts", H264, shows=numbers((0, 23), (0, 23))),
    joined("joined_mpeg2.ts", f"{MPEG2} -bf 2", shows=numbers((0, 23), (0, 23))),
    joined("joined_hevc.ts", X265, shows=numbers((0, 23), (0, 23))),
    joined("joined.mpg", MPEG1, shows=numbers((0, 23), (0, 23))),
    edited("edited_twice.mp4", f"{X264} -bf 0", (0.2, 0.2), (0.6, 0.2), shows=numbers((5, 9), (15, 19))),
    edited("edited_to_repeat.mp4", f"{X264} -bf 0", (0.2, 0.4), (0.2, 0.4), shows=numbers((5, 14), (5, 14))),
    edited("edited_to_begin_late.mp4", H264, (-1, 0.4), (0.28, 0.4), shows=numbers((5, 14))),
    edited("edited_to_end_early.mp4", H264, (0.08, 0.4), shows=numbers((0, 9))),
]
REMUXES = [
    remux("ts_to.mp4", H264, "ts"),
    remux("mkv_to.mp4", H264, "mkv"),
    row("mp4_to_mkv_to.mov", f"{H264} first.mp4", "-i first.mp4 -c copy second.mkv", "-i second.mkv -c copy"),
    remux("flv_to.mp4", H264, "flv"),
    remux("avi_to.mp4", MPEG4, "avi"),
    remux("packed_avi_to.mkv", "-c:v libxvid -q:v 3 -bf 2", "avi", "-fflags +genpts", shows=numbers((0, 21))),
    remux("dropped_avi_to.mp4", f"{MPEG4} {UNEVENLY}", "avi", shows=UNEVEN),
    remux("mp4_to.ts", H264),
    remux("hevc_ts_to.mp4", X265, "ts"),
    remux("webm_to.mp4", f"{VP9} -auto-alt-ref 1 -lag-in-frames 16", "webm"),
    remux("webm_to.mkv", f"{VP8} -auto-alt-ref 1 -lag-in-frames 10", "webm"),
    remux("fragments_to.mp4", f"{H264} {FRAGMENTS}"),
    remux("mpg_to.mkv", f"{MPEG2} -bf 2", "mpg", "-fflags +genpts"),
    remux("bare_to.mp4", f"{X264} -bf 0", "h264"),
    remux("ogv_to.mkv", THEORA, "ogv"),
]
STREAMS = [
    *(row(f"small_first.{kind}", f"-map 1 -map 0 {how} -disposition:v default", also=SMALL, chosen=1)
      for kind, how in (("mkv", X264), ("mp4", X264), ("mov", MPEG4), ("ts", X264), ("webm", VP9))),
    *(row(f"small_first_alone_default.{kind}", f"-map 1 -map 0 {X264} -disposition:v:0 default -disposition:v:1 0",
          also=SMALL, chosen=1) for kind in ("mkv", "mp4")),
    row("small_second.mkv", f"-map 0 -map 1 {X264}", also=SMALL),
    row("large_second_default.mkv", f"-map 1 -map 0 {X264} -disposition:v:0 0 -disposition:v:1 default",
        also=SMALL, chosen=1),
    *(row(f"cover_{k}.mp4", f"{order} {X264} -c:v:{k} mjpeg -disposition:v:{k} attached_pic", also=COVER)
      for k, order in enumerate(("-map 1 -map 0", "-map 0 -map 1"))),
    row("cover.mkv", f"{X264} first.mkv", "-i first.mkv -frames:v 1 -vf scale=320:240 cover.jpg",
        "-i first.mkv -attach cover.jpg -metadata:s:t mimetype=image/jpeg -c copy"),
    *(row(f"sound.{kind}", f"-map 1 -map 0 {codecs}", also=SOUND)
      for kind, codecs in (("mp4", f"{X264} -c:a aac"), ("mkv", f"{H264} -c:a aac"), ("ts", f"{X264} -c:a aac"),
                           ("webm", f"{VP9} -c:a libopus"), ("avi", f"{MPEG4} -c:a libmp3lame"),
                           ("mpg", f"{MPEG2} -c:a mp2"), ("flv", f"{X264} -c:a aac"),
                           ("ogv", f"{THEORA} -c:a libvorbis"), ("wmv", "-c:v wmv2 -q:v 3 -c:a wmav2"))),
    row("sound_later.mp4", f"-map 1 -map 0 {H264} -c:a aac", also=f"-itsoffset 0.3 {SOUND}"),
    row("sound_cut.mp4", f"-map 0 -map 1 {H264} -g 10 -c:a aac first.mp4", "-ss 0.5 -i first.mp4 -c copy",
        also=SOUND, shows=numbers((13, 23))),
    row("sound_fragments.mp4", f"-map 0 -map 1 {H264} -c:a aac {FRAGMENTS}", also=SOUND),
]
SIZES = [
    chained("two_sizes.webm", VP8, f"{VP8} -vf scale=80:56", shows=numbers((0, 23), (0, 23))),
    chained("two_sizes.mkv", VP9, f"{VP9} -vf scale=80:56", shows=numbers((0, 23), (0, 23))),
    joined("two_sizes.ts", f"{X264} -bf 0", f"{X264} -bf 0 -vf scale=80:56", shows=numbers((0, 23), (0, 23))),
]
CUT_SHORT = [
    part(f"short_{share}_{name}", how, 0, share / 100, shows=None, noted=name[-2:] not in ("ts", "pg", "ut"))
    for name, how in (
        ("h264.flv", f"{X264} -bf 0 -g 8 -crf 12"), ("wmv2.wmv", "-c:v wmv2 -q:v 3"),
        ("theora.ogv", f"{THEORA} -q:v 10 -g 1 -page_duration 80000"), ("mpeg4.nut", MPEG4), ("picture.gif", GIF),
        ("h264.ts", H264), ("mpeg2.mpg", MPEG2),
    )
    for share in (40, 70, 95)
]
REFUSED = [
    part("no_parameter_sets.ts", f"{X264} -bf 0 -g 100", 0.5, 1, 188, refused="cannot be decoded"),
    *(row(f"sound_alone.{kind}", "-map 1 -c:a aac", also=SOUND, refused="no video stream") for kind in ("mp4", "mkv")),
    segments("segment_alone.mp4", "2", refused="cannot be decoded"),
    row("nothing.mp4", f"{X264} -t 0", refused="no video stream"),
    *(part(f"short_{share}_{name}", how, 0, share / 100, refused="cut short|cannot be decoded")
      for name, how in (
          ("index_first.mp4", f"{H264} -movflags +faststart"), ("index_last.mp4", H264),
          ("fragments.mp4", f"{H264} {FRAGMENTS}"), ("h264.mov", f"{H264} -movflags +faststart"),
          ("h264.mkv", H264), ("vp9.webm", f"{VP9} -g 8"), ("mpeg4.avi", MPEG4),
      )
      for share in (40, 70, 95)),
]
# fmt: on
ROWS = [*CONTAINERS, *NAMES, *PIXELS, *TIMING, *ORIENTATION, *CUTS, *REMUXES, *STREAMS, *SIZES, *CUT_SHORT, *REFUSED]
