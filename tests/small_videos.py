"""Data sets of videos that are small enough to check by hand, with what the protocols ask of a loader."""

from pathlib import Path

import numpy as np
from PIL import Image

from dtse_core.data.clip import ReferringVideo, VideoDataSet

SIZE = (16, 20)
STEMS = ("00000", "00005", "00010")
PLACES = {"1": (2, 2), "2": (10, 10)}  # top left corners of squares of 4 x 4, which move one pixel right a frame
LATE = ("b", "2")  # this object is absent from the first frame


class SmallVideos(VideoDataSet):
    """As Refer-YouTube-VOS and MeViS: four sentences about two videos of three frames."""

    name = "refer_youtube_vos"

    def __init__(self, root: Path, size: tuple[int, int] = SIZE):
        super().__init__(root)
        self.size, self.images = size, self.root / "JPEGImages"
        self.videos = [
            ReferringVideo("-a", "0", "the upper square", STEMS, ("1",), "position"),
            ReferringVideo("-a", "2", "the lower square", STEMS, ("2",), "position"),
            ReferringVideo("-a", "10", "the square above", STEMS, ("1",), "relation"),
            ReferringVideo("b", "0", "the late square", STEMS, ("2",), "action"),
        ]
        for video in self.videos:
            for path in self.frame_paths(video):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", size[::-1], "gray").save(path)

    def read_target(self, video: ReferringVideo, k: int) -> tuple[np.ndarray, None]:
        return np.logical_or.reduce([self.square(video.video_id, number, k) for number in video.object_ids]), None

    def square(self, video_id: str, number: str, k: int) -> np.ndarray:
        mask, (top, left) = np.zeros(self.size, bool), PLACES[number]
        mask[top : top + 4, left + k : left + k + 4] = (video_id, number) != LATE or k > 0
        return mask

    def category(self, video: ReferringVideo) -> str:
        return f"kind {video.object_ids[0]}"


class SmallDavis(SmallVideos):
    """As Ref-DAVIS17: two objects in one sequence and one in another, described by each of four annotators."""

    def __init__(self, root: Path, size: tuple[int, int] = SIZE):
        super().__init__(root, size)
        objects = {"-a": ("1", "2"), "c": ("1",)}
        self.videos = [
            ReferringVideo(sequence, str(4 * rank + k), f"square {number} by {k}", STEMS, (number,))
            for sequence, numbers in objects.items()
            for rank, number in enumerate(numbers)
            for k in range(4)
        ]
        for path in (path for video in self.videos for path in self.frame_paths(video)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size[::-1], "gray").save(path)

    def annotator(self, video: ReferringVideo) -> int:
        return int(video.expression_id) % 4

    def read_indices(self, sequence: str, k: int) -> np.ndarray:
        """Void in one corner, and where a sequence has no object 2, it is not drawn."""
        labels = np.zeros(self.size, np.uint8)
        for number in sorted({v.object_ids[0] for v in self.videos if v.video_id == sequence}):
            labels[self.square(sequence, number, k)] = int(number)
        labels[:1, -2:] = 255
        return labels


class Truth:
    """Answers that are right; `swapped` exchanges labels 1 and 2 of these annotators."""

    absent = frozenset()

    def __init__(self, swapped: tuple[int, ...] = ()):
        self.swapped = swapped

    def masks(self, dataset, videos):
        for k in range(len(videos[0].frames)):
            yield np.stack([dataset.read_target(video, k)[0] for video in videos])

    def labels(self, dataset, videos):
        for k in range(len(videos[0].frames)):
            labels = dataset.read_indices(videos[0].video_id, k)
            labels = np.where(labels == 255, 0, labels).astype(np.uint8)
            swap = dataset.annotator(videos[0]) in self.swapped
            yield np.where(labels == 0, 0, 3 - labels).astype(np.uint8) if swap else labels
