"""Records and summaries: masks against a truth that can be checked by hand, and nothing depends on order or shares."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtse_core.metrics import contour_accuracy, region_similarity
from dtse_core.scoring.protocols import protocol_for
from dtse_core.scoring.records import Sample, SequenceScore, VideoScore, score_expressions
from dtse_core.scoring.summary import in_order, intervals, summarize, summarize_videos, values_of
from dtse_core.scoring.tables import LOCAL, format_markdown, format_table
from dtse_core.scoring.video_metrics import temporal_consistency
from tests.small_videos import SmallDavis, SmallVideos, Truth


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return SmallVideos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    return SmallDavis(tmp_path_factory.mktemp("davis"))


def answer(dataset, answers, **options):
    return protocol_for(dataset, answers, 2, **options).score(progress=False)


class Shift(Truth):
    """Every mask one pixel further right, and the first frame of all empty."""

    def masks(self, dataset, videos):
        for k, masks in enumerate(super().masks(dataset, videos)):
            yield np.roll(masks, 1, axis=2) if k else np.zeros_like(masks)


# One video


def test_perfect_masks_score_one(videos):
    result = summarize_videos(answer(videos, Truth()))
    metrics = result["metrics"]
    assert metrics["J"] == metrics["F"] == metrics["J&F"] == 1
    assert metrics["temporal_consistency"] == metrics["temporal_consistency_truth"] < 1  # the squares move
    assert {k: g["J&F"] for k, g in result["by_evidence"].items()} == {"position": 1, "relation": 1, "action": 1}
    assert {k: g["count"] for k, g in result["by_category"].items()} == {"kind 1": 2, "kind 2": 2}
    assert len(result["samples"]) == 4 and all(s["frames"] == 3 for s in result["samples"])


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_scores_are_the_means_of_each_frame_alone(videos, seed):
    rng = np.random.default_rng(seed)
    group = videos.videos[:3]
    frames = rng.random((3, 3, *videos.size)) < 0.3
    for s, record in enumerate(score_expressions(videos, group, iter(frames))):
        truths = [videos.read_target(group[s], k)[0] for k in range(3)]
        j = [region_similarity(frames[k, s], truths[k]) for k in range(3)]
        f = [contour_accuracy(frames[k, s], truths[k]) for k in range(3)]
        assert pytest.approx((np.mean(j), np.mean(f)), abs=1e-12) == (record.J, record.F)
        assert record.consistency == pytest.approx(temporal_consistency(frames[:, s]), abs=1e-12)
        assert record.true_consistency == pytest.approx(temporal_consistency(truths), abs=1e-12)
        typical = j[group[s].frames.index(record.typical_frame)]
        assert abs(typical - np.mean(j)) == pytest.approx(min(abs(np.array(j) - np.mean(j))), abs=1e-9)


def test_frames_before_the_first_appearance_count_only_if_asked_for(videos):
    class Early(Truth):
        def masks(self, dataset, group):
            for k, masks in enumerate(super().masks(dataset, group)):
                yield np.ones_like(masks) if k == 0 else masks

    late = [answer(videos, Early(), start=start)[3] for start in ("all", "from-first-appearance")]
    assert [(r.J, r.frames) for r in late] == [(pytest.approx(2 / 3), 3), (1, 2)]
    assert late[1].typical_frame != "00000"
    shown = [answer(videos, Early(), start=start)[0].J for start in ("all", "from-first-appearance")]
    assert shown[0] == shown[1] < 1  # shown from the first frame on: nothing is left out


def test_a_truth_that_is_missing_gives_no_records(videos, tmp_path):
    hidden = SmallVideos(tmp_path)
    hidden.labelled = False
    hidden.read_target = None
    drawn = []

    class Seen(Truth):
        def masks(self, dataset, group):
            drawn.append(len(group))
            yield from Truth().masks(videos, group)

    assert answer(hidden, Seen()) == [] and drawn == [2, 1, 1]


def test_a_video_that_mevis_lacks_counts_as_nothing(videos):
    answers = Truth()
    answers.absent = {"b"}
    records = protocol_for(videos, answers).answer_one(None, videos.videos[3:])
    assert [(r.J, r.F) for r in records] == [(0, 0)]


def test_the_number_of_frames_must_be_that_of_the_data_set(videos):
    with pytest.raises(ValueError, match="shorter|longer"):
        score_expressions(videos, videos.videos[:1], iter(np.zeros((2, 1, *videos.size), bool)))


# Ref-DAVIS17


def test_perfect_labels_score_one_either_way(davis):
    result = summarize_videos(answer(davis, Truth()))
    for metrics in (result["metrics"], result["hungarian"]):
        assert metrics["J"] == metrics["F"] == metrics["J&F"] == 1
    assert [row["objects"] for row in result["annotators"]] == [[3, 3]] * 4


def test_swapped_referents_score_nothing_unless_matching_is_free(davis, tmp_path):
    davis = SmallDavis(tmp_path)
    davis.videos = [v for v in davis.videos if v.video_id == "-a"]
    result = summarize_videos(answer(davis, Truth(swapped=(0, 1, 2, 3))))
    assert (result["metrics"]["J&F"], result["hungarian"]["J&F"]) == (0, 1)
    result = summarize_videos(answer(davis, Truth(swapped=(2,))))
    assert (result["metrics"]["J&F"], result["hungarian"]["J&F"]) == (0.75, 1)
    assert [row["id_matched"]["J"] for row in result["annotators"]] == [1, 1, 0, 1]


def test_void_does_not_count(davis):
    class Corner(Truth):
        def labels(self, dataset, videos):
            for labels in super().labels(dataset, videos):
                labels[:1, -2:] = 1
                yield labels

    result = summarize_videos(answer(davis, Corner()))
    assert result["metrics"]["J"] == result["hungarian"]["J"] == 1


def test_the_typical_frame_is_the_one_nearest_to_the_mean(davis):
    class Late(Truth):
        def labels(self, dataset, videos):
            for k, labels in enumerate(super().labels(dataset, videos)):
                yield labels if k else np.zeros_like(labels)

    scores = [r for r in answer(davis, Late()) if isinstance(r, VideoScore)]
    assert all(abs(r.J - 2 / 3) < 1e-12 and r.typical_frame == "00005" for r in scores)


def test_sentences_of_an_annotator_stay_together(davis, videos):
    assert [[int(v.expression_id) % 4 for v in group] for group in protocol_for(davis, None, 1).units()] == [
        *([k, k] for k in range(4)),
        *([k] for k in range(4)),
    ]
    assert [[v.expression_id for v in group] for group in protocol_for(videos, None, 2).units()] == [
        ["0", "2"],
        ["10"],
        ["0"],
    ]


# Summaries


def video_score(video, number, j, f, **more):
    return VideoScore(video, number, "it", j, f, 3, 0.5, 0.5, "00000", **more)


def test_every_object_counts_the_same_and_not_every_sequence():
    scores = [video_score("a", "0", 0.2, 0.2), *(video_score("b", str(k), 0.8, 0.8) for k in range(3))]
    assert summarize_videos(scores)["metrics"]["J&F"] == pytest.approx(0.65)


@pytest.mark.parametrize("annotators", [(0, 1, 2, 3), (1, 2), (None,)])
def test_records_stand_annotator_by_annotator_whatever_order_they_come_in(annotators):
    expected = [video_score(v, e, 0.5, 0.5, annotator=a) for a in annotators for v in "ab" for e in "01"]
    for shuffled in (expected[::-1], expected[1::2] + expected[::2]):
        assert in_order(shuffled) == expected


def test_the_four_annotators_are_averaged_whatever_they_described():
    scores = [video_score("a", str(k), k / 4, 1.0, annotator=k) for k in range(4)]
    scores.append(video_score("b", "3", 0.75, 1.0, annotator=3))
    free = [SequenceScore("a", k, ((1.0, 0.5),)) for k in range(4)]
    result = summarize_videos([*scores, *free])
    assert result["metrics"]["J"] == pytest.approx((0 + 0.25 + 0.5 + 0.75) / 4)
    assert result["hungarian"] == {"J": 1, "F": 0.5, "J&F": 0.75}
    alone = summarize_videos([scores[1], free[1]])
    assert (alone["metrics"]["J"], len(alone["annotators"])) == (0.25, 1)


def test_an_annotator_without_an_object_in_first_frames_leaves_no_mean_of_the_other_matching():
    scores = [video_score("a", "0", 0.5, 1.0, annotator=k) for k in range(2)]
    with pytest.warns(UserWarning, match="no object in an annotator's first frames"):
        result = summarize_videos([*scores, SequenceScore("a", 0, ()), SequenceScore("a", 1, ((0.25, 0.75),))])
    without, other = result["annotators"]
    assert "hungarian" not in result and "hungarian" not in without and without["objects"] == [1, 0]
    assert other["hungarian"] == {"J": 0.25, "F": 0.75, "J&F": 0.5} and result["metrics"]["J&F"] == 0.75


def test_nothing_to_summarize_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        summarize_videos([])


samples = st.lists(
    st.builds(
        Sample,
        st.from_regex(r"v_[ab]_f_[0-9]_i_1", fullmatch=True),
        st.sampled_from(("one", "two")),
        st.integers(0, 5),
        st.integers(5, 9),
        st.sampled_from((0.0, 0.5, 1.0)),
        st.sampled_from(("action", "position")),
        video_id=st.sampled_from("ab"),
        category=st.sampled_from(("dog", None)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda s: (s.sample_id, s.expression),
)
scores = st.lists(
    st.builds(video_score, st.sampled_from("abc"), st.sampled_from("0123"), *[st.floats(0, 1)] * 2),
    min_size=1,
    max_size=12,
    unique_by=lambda s: (s.video_id, s.expression_id),
)


@given(records=st.one_of(samples, scores), seed=st.integers(0, 99))
def test_the_order_of_records_changes_nothing(records, seed):
    shuffled = random.Random(seed).sample(records, len(records))
    whole = summarize if isinstance(records[0], Sample) else summarize_videos
    assert whole(shuffled) == whole(records)
    assert intervals(shuffled) == intervals(records)


@given(records=st.one_of(samples, scores))
def test_intervals_are_of_the_metrics_and_groups_make_up_the_whole(records):
    result = (summarize if isinstance(records[0], Sample) else summarize_videos)(records)
    for name, (low, high) in intervals(records).items():
        assert 0 <= low <= high <= 1 and name in result["metrics"]
    for name, values in values_of(records).items():
        above, below = (values.sum(), len(values)) if values.ndim == 1 else values.sum(axis=0)
        assert above / below == pytest.approx(result["metrics"][name])
    first = "mean_iou" if isinstance(records[0], Sample) else "J"
    if "by_evidence" in result:
        weighted = sum(g[first] * g["count"] for g in result["by_evidence"].values()) / len(records)
        assert weighted == pytest.approx(result["metrics"][first])


def test_one_video_has_an_interval_without_width():
    low, high = intervals([video_score("a", "0", 0.2, 0.4), video_score("a", "1", 0.6, 0.8)])["J&F"]
    assert low == high == pytest.approx(0.5)


# Shares of the work


class State:
    def __init__(self, rank, processes):
        self.process_index, self.num_processes = rank, processes


@settings(max_examples=12)
@given(processes=st.integers(2, 7), batch=st.integers(1, 5), labels=st.booleans())
def test_shares_put_together_are_the_whole(videos, davis, processes, batch, labels):
    dataset = davis if labels else videos
    protocol, gathered = protocol_for(dataset, Shift(), batch), []
    whole = protocol.score(progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accelerate.utils.gather_object", lambda parts: gathered.extend(parts) or gathered)
        for rank in range(processes):
            shares = protocol.score(None, State(rank, processes), progress=False)
    assert shares == whole and len({number for number, _ in gathered}) == len(gathered)


# Text


def result_of(records, **more):
    whole = summarize_videos(records) | {"intervals": intervals(records), "split": "val", "source": "masks.zip"}
    whole |= {"protocol": {"score": LOCAL}, "counts": {"sentences": len(records)}, "masks_sha256": "0" * 64}
    return whole | {"versions": {"python": "3"}, "config": {"data.name": "mevis", "data.root": "ROOT"}} | more


def test_tables_print_percent_under_the_protocols_own_names(videos, davis):
    head, everything, ends, *kinds = format_table(result_of(answer(videos, Shift()))).splitlines()
    assert "local J&F" in head and "sentences" in head and ends.startswith("95 % interval")
    assert everything.split()[:2] == ["all", "4"] and [k.split()[0] for k in kinds] == [
        "position",
        "relation",
        "action",
    ]
    lines = format_table(result_of(answer(davis, Truth(swapped=(2,))), protocol={})).splitlines()
    assert "objects" in lines[0] and "local" not in lines[0]
    assert "all, id-matched" in lines[1] and "all, hungarian" in lines[3]
    assert [line.split(",")[0] for line in lines[4:]] == [
        "annotator 1",
        "annotator 1",
        "annotator 2",
        "annotator 2",
    ] * 2


def test_the_page_shows_categories_and_published_results_but_never_beside_a_toy_world(videos):
    records = answer(videos, Truth())
    toy = format_markdown(result_of(records))
    assert "| kind 1 | 2 | 100.0 |" in toy and "Published" not in toy
    plain = [replace(record, evidence=None) for record in records]
    page = format_markdown(result_of(plain, version="v2"))
    assert "## Published results" in page and "**published for others**" in page


def test_a_page_names_by_its_sums_what_was_scored(videos):
    model = {"model_sha256": "a" * 64, "checkpoint_sha256": "b" * 64}
    result = result_of(answer(videos, Truth()))
    masks = result.pop("masks_sha256")
    for sums in ({"masks_sha256": masks}, model):
        page = format_markdown(result | sums)
        found = {name for name in ("model", "checkpoint", "masks") if f"- {name} sha256: " in page}
        assert found == {name.removesuffix("_sha256") for name in sums} and all(
            digest in page for digest in sums.values()
        )
