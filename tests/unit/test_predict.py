"""The predictor: streaming equals windows, sentences do not disturb each other, bad input is named."""

import dataclasses
import gc
import json
import os
import re
import signal
import sys
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from dtse_core import DTSE, ReferringVideoPredictor, predict, preset
from dtse_core.checkpoints.find import checkpoint_folder, model_sha256
from dtse_core.data import ToyWorld
from dtse_core.data.clip import window_indices
from dtse_core.data.sentences import load_tokenizer, tokenize
from dtse_core.data.transforms import resize_frames
from dtse_core.decoder import resize_logits
from dtse_core.shared.console import usable_device
from dtse_core.video import export
from dtse_core.video.export import write_prediction
from dtse_core.video.files import check_frame, iterate_frames, read_frames, video_length
from dtse_core.video.writing import write_video

SENTENCES = ["the red dog on the left", "ball"]


def make_predictor(**changes) -> ReferringVideoPredictor:
    config = preset("tiny", **{"data.offset": 2, "data.size": (32, 48), **changes})
    torch.manual_seed(0)
    return ReferringVideoPredictor(
        DTSE(config.model), load_tokenizer(config.model.text, config.data.level), config.data, "cpu"
    )


@pytest.fixture(scope="module")
def predictor():
    return make_predictor()


@pytest.fixture(scope="module")
def video():
    return np.random.default_rng(0).integers(0, 256, (11, 40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model.causal": True},
        {"model.window": 5},
        {"model.window": 1},
        {"model.lmdf_stages": (3, 4, 5)},
        {"model.lmdf": "off"},
        {"data.offset": 9},
    ],
    ids=str,
)
def test_streaming_equals_window_by_window(changes, video):
    predictor = make_predictor(**changes)
    config, offset = predictor.model.config, predictor.data.offset
    ids, word_mask = tokenize(SENTENCES[:1], predictor.tokenizer, 64)
    steps = list(predictor.stream(iter(video), SENTENCES[0]))
    assert [s.index for s in steps] == list(range(len(video)))
    for step in steps:
        indices, _ = window_indices(step.index, len(video), config.window, offset, config.causal)
        with torch.inference_mode():
            frames = resize_frames(video[indices], predictor.data.size)[None]
            logits = predictor.model(frames, ids, word_mask).logits
        expected = resize_logits(logits, *video.shape[1:3]).sigmoid().numpy()
        np.testing.assert_allclose(step.probabilities, expected, atol=1e-5)
        assert np.array_equal(step.masks, step.probabilities > 0.5)
        foreground = step.probabilities[step.masks]
        assert step.confidence[0] == (foreground.mean(dtype=np.float64) if len(foreground) else 0)


def test_sentences_together_equal_sentences_alone(predictor, video):
    together = list(predictor.stream(iter(video), SENTENCES))
    for k, sentence in enumerate(SENTENCES):
        alone = list(predictor.stream(iter(video), sentence))
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a.probabilities[k], b.probabilities[0], atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"model.causal": True}, {"model.window": 1}, {"data.offset": 9}], ids=str)
@pytest.mark.parametrize("batch", [2, 4, 30])
def test_frames_in_batches_give_the_same_steps(batch, changes, video):
    predictor = make_predictor(**changes)
    one_by_one, together = (list(predictor.stream(iter(video), SENTENCES, size)) for size in (1, batch))
    assert [s.index for s in together] == list(range(len(video)))
    for a, b in zip(one_by_one, together, strict=True):
        assert np.array_equal(b.frame, video[b.index])
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("frames", "size", "sentences", "together"),
    [
        ("array", (32, 48), 1, 16),
        ("array", (320, 320), 1, 5),
        ("array", (320, 320), 2, 2),
        ("array", (320, 320), 9, 1),
        ("file", (32, 48), 1, 16),
        ("file", (32, 48), 4, 10),
    ],
)
def test_segment_takes_as_many_frames_together_as_their_sizes_allow_and_gives_the_masks_of_a_stream(
    frames, size, sentences, together, predictor, video, tmp_path, monkeypatch
):
    """A file's frames of 40 x 50 count, an array's do not: they lie in memory anyway."""
    monkeypatch.setattr(predict, "SHOWN", 10 * 4 * 40 * 50)
    clip = video if frames == "array" else write_video(tmp_path / "clip.mp4", video, 25)
    asked, work = [], predictor._stream
    monkeypatch.setattr(predictor, "data", dataclasses.replace(predictor.data, size=size))
    monkeypatch.setattr(predictor, "_stream", lambda *given: asked.append(given[-1]) or work(*given))
    expressions = (SENTENCES * 5)[:sentences]
    if size == (320, 320):
        predictor.stream(clip, expressions, None)  # nothing is computed yet
    else:
        results = predictor.segment(clip, expressions)
        for step in predictor.stream(clip, expressions):
            assert np.mean([r.masks[step.index] == m for r, m in zip(results, step.masks, strict=True)]) > 0.999
            confidence = [r.confidence[step.index] for r in results]
            np.testing.assert_allclose(confidence, step.confidence, atol=1e-4)
        assert asked.pop() == 1
    assert asked == [together]


@pytest.mark.parametrize("batch", [1, 4])
def test_each_prefix_runs_once_however_many_sentences_and_frames(batch, predictor, video, monkeypatch):
    encoder, rows = predictor.fast.encoder, {}
    places = {(encoder, "see_frame"), (encoder, "read_sentence"), *((encoder.vlmg[n], "forward") for n in "35")}
    for place, name in places:
        method = getattr(place, name)

        def counted(first, *rest, key=(place, name), method=method):
            rows[key] = rows.get(key, 0) + len(first)
            return method(first, *rest)

        monkeypatch.setattr(place, name, counted)
    list(predictor.stream(iter(video), SENTENCES, batch))
    assert rows.pop((encoder, "see_frame")) == len(video) and rows.pop((encoder, "read_sentence")) == 2
    assert [*rows.values()] == [2 * len(video)] * 2, "each frame passes the first VLMG and the last, for each sentence"


def test_bf16_stays_near_single_precision_and_is_asked_for_by_name(predictor, video):
    model = make_predictor().model
    low = ReferringVideoPredictor(model, predictor.tokenizer, predictor.data, "cpu", precision="bf16")
    assert {p.dtype for p in low.model.parameters()} == {torch.bfloat16}
    for a, b in zip(predictor.stream(iter(video), "ball"), low.stream(iter(video), "ball"), strict=True):
        assert b.probabilities.dtype == np.float32 and not np.array_equal(a.probabilities, b.probabilities)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=0.02)
    with pytest.raises(ValueError, match="precision is 'int8'; it must be one of fp32, fp16, bf16"):
        ReferringVideoPredictor(model, predictor.tokenizer, predictor.data, "cpu", precision="int8")


@pytest.mark.parametrize("device", ["warp", "cuda:99", "meta"])
def test_a_device_that_cannot_be_used_is_refused_by_name_and_auto_finds_one(predictor, device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here; cpu always can"):
        ReferringVideoPredictor(predictor.model, predictor.tokenizer, predictor.data, device)
    assert usable_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_weights_that_give_nan_are_reported_with_the_frame(video):
    predictor = make_predictor()
    predictor.model.decoder.heads[3].bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="frame 0: the model returns NaN"):
        list(predictor.stream(iter(video), "ball"))


def test_segment_returns_masks_at_the_videos_size_and_one_result_per_sentence(predictor, video):
    result = predictor.segment(video, SENTENCES[0])
    assert result.masks.shape == video.shape[:3] and result.masks.dtype == bool
    assert result.confidence.shape == (11,) and ((result.confidence >= 0) & (result.confidence <= 1)).all()
    assert [r.expression for r in predictor.segment(video, SENTENCES)] == SENTENCES


def test_a_stream_keeps_no_more_frames_than_its_window_reaches(predictor):
    alive, most = [], 0

    def frames():
        for _ in range(40):
            frame = np.zeros((40, 50, 3), np.uint8)
            alive.append(weakref.ref(frame))
            yield frame

    for _ in predictor.stream(frames(), "ball"):
        most = max(most, sum(reference() is not None for reference in alive))
    assert 5 <= most <= 7  # offset 2 on both sides, the current one, and those in flight


@pytest.mark.parametrize("batch", [1, 4])
def test_a_file_is_read_and_answered_ahead_in_threads_and_gives_the_steps_of_its_frames(
    batch, predictor, video, tmp_path, monkeypatch
):
    clip, used = write_video(tmp_path / "clip.mp4", video, 25), set()
    for name in ("_encode", "_decode"):
        method = getattr(predictor, name)
        monkeypatch.setattr(
            predictor, name, lambda *a, method=method: used.add(threading.current_thread()) or method(*a)
        )
    plain = list(predictor.stream(iterate_frames(clip), SENTENCES, batch))
    assert used == {threading.main_thread()}
    used.clear()
    for one, other in zip(plain, predictor.stream(clip, SENTENCES, batch), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(used) == 1 and threading.main_thread() not in used


def test_an_error_in_a_thread_reaches_the_user_in_one_line(video, tmp_path, monkeypatch, capsys):
    clip = write_video(tmp_path / "clip.mp4", video, 25)

    def damaged(path):
        yield from video[:6]
        raise ValueError(f"{path} cannot be decoded (frame 6)")

    monkeypatch.setattr(predict, "iterate_frames", damaged)
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, clip, "the dog", f"--out={tmp_path / 'out.mp4'}")
    assert stop.value.code == 1
    assert capsys.readouterr().err.endswith(f"error: {clip} cannot be decoded (frame 6)\n")
    assert [f.name for f in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.fixture
def ctrl_c():
    """As at a terminal: what a shell starts in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("place", ["_encode", "overlay_all"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_command_and_its_threads_and_leaves_nothing(place, video, tmp_path, monkeypatch, capsys):
    clip = write_video(tmp_path / "clip.mp4", video, 25)
    monkeypatch.setattr(predict, "TOGETHER", 4)  # so that the model is called more than once
    owner = ReferringVideoPredictor if place == "_encode" else export
    work, calls = getattr(owner, place), []

    def interrupted(*arguments):
        calls.append(place)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)  # while the model works in its thread, or the main one draws
        return work(*arguments)

    monkeypatch.setattr(owner, place, interrupted)
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, clip, "the dog", f"--out={tmp_path / 'out.mp4'}")
    assert stop.value.code == 130 and "Traceback" not in capsys.readouterr().err
    del stop  # with it the frames that hold the iterators
    gc.collect()
    assert [f.name for f in tmp_path.iterdir()] == ["clip.mp4"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_a_saved_result_has_the_videos_frames_and_masks(predictor, video, tmp_path):
    result = predictor.segment(video, SENTENCES[0])
    assert video_length(result.save(tmp_path / "out.mp4")) == len(video)
    assert Image.open(result.save(tmp_path / "out.gif")).n_frames == len(video)
    folder = result.save_masks(tmp_path / "masks")
    read = np.stack([np.asarray(Image.open(f)) for f in sorted(folder.glob("*.png"))])
    np.testing.assert_array_equal(read == 255, result.masks)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.full((4, 4, 3), np.nan), "frame 7 holds NaN"),
        (np.full((4, 4, 3), 2.0), r"outside \[0, 1\]"),
        (np.zeros((4, 4), np.uint8), r"frame 7 has shape \(4, 4\)"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
    ],
)
def test_a_frame_that_cannot_be_used_is_named(frame, message):
    with pytest.raises(ValueError, match=message):
        check_frame(frame, 7)


def test_float_frames_are_read_as_shares_of_255():
    assert check_frame(np.full((2, 2, 3), 0.2), 0).tolist() == np.full((2, 2, 3), 51).tolist()


@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
def test_float_frames_are_drawn_as_the_same_frames_in_bytes_are(predictor, video, tmp_path, name):
    results = [predictor.segment(frames, SENTENCES[0]) for frames in (video, video / 255)]
    assert np.array_equal(results[0].masks, results[1].masks)
    files = [result.save(tmp_path / str(k) / name).read_bytes() for k, result in enumerate(results)]
    assert files[0] == files[1]


def test_frames_of_two_sizes_are_refused_by_what_gives_one_array(predictor, video):
    frames = [*video[:2], video[2, :30], video[3]]
    assert [step.masks.shape[1] for step in predictor.stream(frames, "ball")] == [40, 40, 30, 40]
    with pytest.raises(ValueError, match=r"frame 2 is \(30, 50\), frame 0 \(40, 50\)"):
        predictor.segment(frames, "ball")


def test_no_frames_and_no_words_are_refused(predictor, video):
    with pytest.raises(ValueError, match="no frames"):
        list(predictor.stream(iter([]), "ball"))
    with pytest.raises(ValueError, match="empty"):
        list(predictor.stream(iter(video), "  "))


@pytest.mark.parametrize("sentences", [[], 3, None, ["ball", None]])
def test_what_is_no_sentence_is_refused_in_one_line(predictor, video, sentences):
    for answer in (predictor.segment, predictor.stream):
        with pytest.raises(ValueError, match="^expression is .*; it must be .*"):
            answer(video, sentences)


def test_a_prediction_that_fails_half_way_leaves_nothing(predictor, video, tmp_path):
    def broken():
        yield from video[:5]
        raise ValueError("the camera fell")

    for out in (tmp_path / "masks", tmp_path / "out.mp4"):
        with pytest.raises(ValueError, match="camera"):
            write_prediction(predictor.stream(broken(), SENTENCES), SENTENCES, out, 25)
    assert list(tmp_path.iterdir()) == []


def run_command(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    predict.main()


@pytest.mark.parametrize(("options", "offset"), [((), 6), (("--offset", 30), 30)])
def test_the_command_takes_references_as_far_away_as_it_is_told(options, offset, tmp_path, monkeypatch):
    def looked(self, *_):
        raise ValueError(f"references lie {self.data.frame_offset} frames away")

    monkeypatch.setattr(ReferringVideoPredictor, "_stream", looked)
    with pytest.raises(SystemExit), pytest.raises(ValueError, match=f"references lie {offset} frames away"):
        run_command(monkeypatch, "example", "a dog", *options, f"--out={tmp_path / 'out'}")


def test_the_command_writes_masks_for_each_sentence(tmp_path, real_clips, monkeypatch, capsys):
    frames = read_frames(real_clips["bikes"], range(3))
    clip, out = write_video(tmp_path / "clip.mp4", frames, 30), tmp_path / "masks"
    run_command(monkeypatch, clip, *SENTENCES, f"--out={out}")
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in SENTENCES)
    for k in range(2):
        files = sorted((out / str(k)).iterdir())
        assert [f.name for f in files] == ["00000.png", "00001.png", "00002.png"]
        assert np.asarray(Image.open(files[0])).shape == frames.shape[1:3]
    assert video_length(out / "overlay.mp4") == 3
    about = json.loads((out / "prediction.json").read_text(encoding="utf-8"))
    assert about["model_sha256"] == model_sha256(checkpoint_folder("tiny")) and about["versions"]["torch"]
    assert f"\nmodel_sha256: {about['model_sha256']}\n" in printed


def test_masks_bear_the_names_of_the_frames_that_they_belong_to(predictor, tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    names = ["9", "00010", "00011 a"]  # in the order of their numbers, whatever letters say
    for k, name in enumerate(names):
        Image.new("RGB", (48, 32), (40, 90 * k, 40)).save(tmp_path / "frames" / f"{name}.jpg")
    run_command(monkeypatch, tmp_path / "frames", "the red ball", "--out", tmp_path / "out")
    folder = predictor.segment(tmp_path / "frames", "the red ball").save_masks(tmp_path / "masks")
    for masks in (tmp_path / "out" / "0", folder):
        assert {path.name for path in masks.glob("*.png")} == {f"{name}.png" for name in names}
    photo = predictor.segment(tmp_path / "frames" / "00010.jpg", "the red ball").save_masks(tmp_path / "photo")
    assert [path.name for path in photo.glob("*.png")] == ["00010.png"]


@pytest.mark.parametrize(
    ("sentence", "unknown"),
    [
        ("The zebra, a \N{DOG FACE} and a dog!", ["zebra,", "\N{DOG FACE}"]),
        ("an animal on a towel and a carpet", ["animal", "towel", "carpet"]),  # an, to, car begin them
        ("the red-and-white dog, left of the dogs", ["dogs"]),  # dog ##s: never seen so
        ("a red-and-beige ball", ["red-and-beige"]),
    ],
)
def test_only_entries_of_a_vocabulary_of_words_are_known(predictor, sentence, unknown):
    assert predict.unknown_words(sentence, predictor.tokenizer) == unknown


def test_every_word_that_the_toy_world_says_is_known(predictor):
    said = {s.text for split in ("val", "twins") for k in range(40) for s in ToyWorld(split).scene(k).sentences}
    assert len(said) > 100 and not [text for text in said if predict.unknown_words(text, predictor.tokenizer)]


def test_words_built_of_learned_pieces_are_known_and_spelt_ones_are_not(minilm):
    tokenizer = load_tokenizer(minilm, 1)
    assert predict.unknown_words("the skateboarder near two giraffes, toddlers and frisbees", tokenizer) == []
    assert predict.unknown_words("zxqv and a \N{DOG FACE}", tokenizer) == ["zxqv", "\N{DOG FACE}"]


def test_a_sentence_of_unknown_words_alone_is_refused_and_a_mixed_one_is_noted(
    predictor, video, tmp_path, real_clips, monkeypatch, capsys
):
    for text in ("zebra", "animal towel", "?!", "zebra ..."):
        with pytest.raises(ValueError, match=re.escape(f"the model knows no word of {text!r}")):
            next(predictor.stream(iter(video), ["ball", text]))
    clip = write_video(tmp_path / "clip.mp4", video[:2], 30)
    run_command(monkeypatch, clip, "the zebra", f"--out={tmp_path / 'out.mp4'}")
    assert "note: the model does not know zebra in 'the zebra'" in capsys.readouterr().err


def test_a_sentence_without_its_quotes_is_noted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for sentences, noted in (
        (["the", "dog", "left"], True),
        (["the dog", "ball"], False),
        (["ball"], False),
        (["左边的狗", "Tシャツの人"], False),
    ):
        with pytest.raises(SystemExit):
            run_command(monkeypatch, "missing.mp4", *sentences, "--checkpoint=nowhere")
        said = capsys.readouterr().err
        assert noted == ("note: 3 sentences of one word each; quote a sentence of several words\n" in said)
        assert noted == ("note" in said)


def test_a_model_of_drawn_clips_says_so_once_before_it_answers_what_may_be_footage(video, tmp_path, capsys):
    clip = write_video(tmp_path / "clip.mp4", video[:2], 30)
    (tmp_path / "frames").mkdir()
    for k, frame in enumerate(video[:2]):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{k}.png")
    for source in (clip, str(clip), tmp_path / "frames", iter(video[:2]), (frame for frame in video[:2])):
        predictor = make_predictor()
        for drawn in (video[:2], list(video[:2]), "example"):
            next(predictor.stream(drawn, "ball"))
        predictor.segment(video[:2], "ball")
        assert capsys.readouterr().err == ""
        next(predictor.stream(source, "ball"))
        assert capsys.readouterr().err == f"note: {predictor.caution}\n"
        predictor.segment(clip, "ball")
        assert capsys.readouterr().err == ""
    predictor = make_predictor()
    predictor.segment(clip, "ball")
    assert "only seen drawn cartoons" in capsys.readouterr().err


def test_a_model_of_real_clips_says_nothing_and_the_shipped_one_does(video, capsys):
    predictor = make_predictor(**{"data.name": "a2d"})
    next(predictor.stream(iter(video), "ball"))
    assert predictor.caution == "" and capsys.readouterr().err == ""
    assert "cartoons" in ReferringVideoPredictor.from_pretrained("tiny", "cpu").caution


def test_the_command_cautions_on_standard_error_before_it_writes(real_clips, tmp_path, monkeypatch, capsys):
    run_command(monkeypatch, real_clips["carphone_pristine"], "the dog", f"--out={tmp_path / 'OUT.MP4'}")
    said = capsys.readouterr()
    assert said.err.startswith("note: this model has only seen drawn cartoons") and said.err.count("note: ") == 1
    assert re.search(
        r"confidence   area  expression\n +[01]\.\d{3} +\d+\.\d%  the dog\nmodel_sha256: [0-9a-f]{64}\nwritten",
        said.out,
    )
    assert video_length(tmp_path / "OUT.MP4") > 1


def test_masks_that_would_fill_the_memory_are_refused_before_the_work_begins(predictor, tmp_path, monkeypatch):
    clip = write_video(tmp_path / "clip.mp4", np.zeros((4, 20, 30, 3), np.uint8), 30)
    monkeypatch.setattr(predict, "LARGEST", 2 * 4 * 20 * 30)
    assert len(predictor.segment(clip, SENTENCES)) == 2
    with pytest.raises(ValueError, match=r"clip.mp4: .* of masks for 4 frames of 30 x 20; use stream\(\)"):
        predictor.segment(clip, [*SENTENCES, "the dog"])


def test_a_frame_of_4k_goes_through_at_its_own_size(predictor):
    frames = (np.zeros((2160, 3840, 3), np.uint8) for _ in range(2))
    for step in predictor.stream(frames, "ball"):
        assert step.masks.shape == (1, 2160, 3840)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4", "ball"], "missing.mp4"),
        (["{clip}", ""], "empty"),
        (["{clip}", "ball " * 300], "expression of 302 word pieces, the limit is 64"),
        (["{clip}", "\N{DOG FACE}"], "the model knows no word of"),
        (["{letter}", "ball"], "letter.mp4 cannot be decoded (frame 0): not a video"),
        (["{hollow}", "ball"], "hollow holds no frames"),
        (["{clip}", "ball", "--checkpoint=nowhere"], "nowhere"),
        (["{clip}"], "no expression"),
        (
            ["{clip}", "ball", "--out=a.avi"],
            "a.avi cannot be written; end it in .mp4, .mov, .mkv, .webm, .gif, or",
        ),
        (["{clip}", "ball", "--out="], "out is ''; it must be a name, not empty"),
    ],
)
def test_the_command_answers_bad_input_with_one_line(arguments, message, tmp_path, real_clips, monkeypatch, capsys):
    places = {"clip": real_clips["carphone_pristine"], "letter": tmp_path / "letter.mp4", "hollow": tmp_path / "hollow"}
    places["letter"].write_text("no video at all", encoding="utf-8")
    places["hollow"].mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, *(a.format(**places) for a in ("--out=out.mp4", *arguments)))
    error = capsys.readouterr().err.strip()
    assert stop.value.code == 1 and message in error.splitlines()[-1]
    assert error.splitlines()[-1].startswith("error: ") and "Traceback" not in error
    assert {f.name for f in tmp_path.iterdir()} == {"letter.mp4", "hollow"}
