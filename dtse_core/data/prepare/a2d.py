"""Checks A2D-Sentences: the tables, and one frame and all masks of each video. `check` says what a module offers."""

from collections import Counter
from pathlib import Path

from ...shared.files import read_rows
from ...video.files import iterate_frames, read_frames, video_info
from ..a2d import (
    Video,
    read_instances,
    read_masks,
    read_sentences,
    read_videos,
    require_layout,
    video_path,
)
from ..expressions import stems
from .findings import Expected, Findings

PARTS = ("Release/videoset.csv", "Release/clips320H", "text_annotations")
GENUINE = {
    "videos in videoset.csv": Expected((3782,)),
    "sentences": Expected((6655, 6656)),  # papers have either
    "videos without sentences": Expected((28,), firm=False),
    "training videos": Expected((3017,), firm=False),
    "test videos": Expected((737,), firm=False),
    "folders of masks": Expected((3755,), firm=False),
}
TOY = {"training videos": "train", "test videos": "held out", "sentences": "sentences"}
Job = tuple[str, Video, frozenset[int]]  # a video, what the table says about it, the instances of its sentences


def survey(root: Path, findings: Findings, genuine: bool, deep: bool) -> list[Job]:
    """Reads the tables and returns what is left to check, a job a video."""
    notes = root / "text_annotations"
    masks = notes / "a2d_annotation_with_instances"
    require_layout(root, root / "Release" / "clips320H", masks)
    videos = read_videos(root / "Release" / "videoset.csv")
    sentences = read_sentences(notes / "a2d_annotation.txt", genuine)
    rows = list(read_rows(notes / "a2d_annotation.txt"))
    missed = {row[0].strip() for _, row in read_rows(notes / "a2d_missed_videos.txt")}
    if not videos:
        raise ValueError(f"{root / 'Release' / 'videoset.csv'} lists no video; download it again")
    told = {video: row for video, row in videos.items() if video not in missed}
    instances: dict[str, set[int]] = {}
    for video, instance, _ in sentences:
        instances.setdefault(video, set()).add(instance)
    jobs = [(video, row, frozenset(instances[video])) for video, row in told.items() if video in instances]
    findings.counts += Counter(
        {
            "videos in videoset.csv": len(videos),
            "sentences": len(rows) - 1 if genuine else len(sentences),
            "videos without sentences": len(missed),
            "training videos": sum(row.subset == "0" for _, row, _ in jobs),
            "test videos": sum(row.subset == "1" for _, row, _ in jobs),
            "folders of masks": sum(path.is_dir() for path in masks.iterdir()),
        }
    )
    if unknown := sorted(set(instances) - set(videos)):
        findings.notes.append(f"{len(unknown)} videos have sentences but no row in videoset.csv: {unknown[:5]}")
    if silent := sorted(set(told) - set(instances)):
        findings.notes.append(
            f"{len(silent)} videos have no sentence and are not listed as missed; they are not used: {silent[:5]}"
        )
    return jobs


def check_one(root: Path, deep: bool, job: Job, findings: Findings) -> None:
    """One video: its length and one frame, or all, and every annotation: shapes, frames and instances."""
    video, told, instances = job
    path, info, annotated, folder = None, None, (), root / PARTS[2] / "a2d_annotation_with_instances" / video
    with findings.collecting():
        path = video_path(root / "Release" / "clips320H", video)
        info = video_info(path)
        if info.length != told.length:
            findings.notes.append(
                f"{path} holds {info.length} frames, videoset.csv says {told.length}: masks may shift"
            )
    with findings.collecting():
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing: the masks of a video with sentences; copy it")
        annotated = stems(folder, ".h5")
        if len(annotated) != told.annotated:
            findings.notes.append(f"{folder} holds {len(annotated)} annotations, videoset.csv says {told.annotated}")
    seen: set[int] = set()
    for stem in annotated:
        with findings.collecting():
            seen |= _check_annotation(folder / f"{stem}.h5", int(stem), info, path)
            findings.counts["annotated frames"] += 1
    if annotated and (unseen := sorted(instances - seen)) and not findings.wrong:
        findings.notes.append(f"{folder}: no annotation shows instance {unseen}, of which a sentence speaks")
    if info is not None:
        middle = int(annotated[len(annotated) // 2]) - 1 if annotated else 0
        frames = iterate_frames(path) if deep else read_frames(path, [min(max(middle, 0), info.length - 1)])
        findings.counts["decoded frames"] += sum(1 for _ in frames)


def _check_annotation(path: Path, frame: int, info, video: Path) -> set[int]:
    """The instances that an annotation shows. Raises `ValueError` for one that does not fit its video."""
    instances = list(dict.fromkeys(read_instances(path)))
    if info is None:
        return set(instances)
    if not 1 <= frame <= info.length:
        raise ValueError(f"{path} annotates frame {frame}, but {video} holds frames 1 to {info.length}")
    masks = read_masks(path, instances, (info.height, info.width))
    return {instance for instance, mask in masks.items() if mask.any()}
