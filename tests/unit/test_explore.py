"""Explorers show what the model computes: against direct calls, slow loops and the model's own forward pass; controls
redraw with a front end and do not exist without one."""

import base64
import io
import sys
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from dtse_core import DTSE, ReferringVideoPredictor, preset
from dtse_core.data.batch import collate_clips
from dtse_core.data.clip import ReferringClip
from dtse_core.data.toy.world import ToyWorld
from dtse_core.decoder import resize_logits
from dtse_core.lmdf import dynamic_filter_reference
from dtse_core.metrics import region_similarity
from dtse_core.notebook import explore, inside, views
from dtse_core.notebook.inside import Inside, Lens, change, failure, swap_word

pytestmark = pytest.mark.usefixtures("style")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def lens():
    world = ToyWorld("val", window=3, offset=6)
    return Lens(ReferringVideoPredictor.from_pretrained("tiny", "cpu"), [world[k] for k in (0, 3, 4)])


def prepared(lens, k):
    p = lens.predictor
    return collate_clips([lens.clips[k]], p.tokenizer, p.data.size, p.data.max_words)


# What is seen is what is computed


@pytest.mark.parametrize("order", views.ORDERS.values(), ids=list(views.ORDERS))
@torch.inference_mode()
def test_an_answer_is_the_models_own_for_frames_in_that_order(lens, order):
    for k, clip in enumerate(lens.clips):
        batch = prepared(lens, k)
        logits = lens.predictor.model(batch.frames[:, list(order)], batch.input_ids, batch.attention_mask).logits
        expected = resize_logits(logits, *clip.mask.shape)[0].sigmoid().numpy()
        np.testing.assert_allclose(lens.see(k).answer(order).probability, expected, **CLOSE)


@torch.inference_mode()
def test_attention_and_features_are_those_of_direct_calls(lens):
    encoder, batch, x = lens.predictor.model.encoder, prepared(lens, 0), lens.see(0)
    V, L, word_mask = encoder.visual.stem(batch.frames[0]), encoder.text.embed(batch.input_ids), batch.attention_mask
    L = L.expand(3, -1, -1)
    for n in (2, 3, 4, 5):
        V = encoder.visual.stage(n, V)
        torch.testing.assert_close(x.features[f"Res{n}"], V, **CLOSE)
        if n > 2:
            L = encoder.text.layers(L, word_mask.expand(3, -1), n - 3, n - 2)  # tiny has one layer a group
            V, L, maps = encoder.vlmg[str(n)](V, L, word_mask.expand(3, -1), True)
            torch.testing.assert_close(x.features[f"VLMG{n}"], V, **CLOSE)
            torch.testing.assert_close(x.attention[n].flatten(1).T, maps.words[1], **CLOSE)
    assert list(x.features) == ["Res2", "Res3", "VLMG3", "Res4", "VLMG4", "Res5", "VLMG5"]


@torch.inference_mode()
def test_attention_is_the_equation_position_by_position(lens):
    block, batch, x = lens.predictor.model.encoder.vlmg["3"], prepared(lens, 0), lens.see(0)
    L = lens.predictor.model.encoder.read_sentence(batch.input_ids, batch.attention_mask)
    m, t = block.project(x.features["Res3"][1:2], L)  # (1, HW, d), (1, N, d)
    for row in range(8):
        for column in range(12):
            q = block.W_q.weight @ m[0, 12 * row + column]
            scores = torch.stack([q @ word / len(q) ** 0.5 for word in t[0]])
            weights = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(x.attention[3][:, row, column], weights, **CLOSE)


@torch.inference_mode()
def test_filters_make_the_responses_and_the_update(lens):
    x, order = lens.see(2), (2, 1, 0)
    answer = x.answer(order)
    level, batch = lens.predictor.model.lmdf["3"], prepared(lens, 2)
    X = level.reduce(x.features["VLMG3"])  # (T, c, h, w)
    G = level.P(X)
    L, kept = lens.predictor.model.encoder.read_sentence(batch.input_ids, batch.attention_mask), batch.attention_mask
    _, L, _ = lens.predictor.model.encoder.vlmg["3"](x.features["Res3"], L.expand(3, -1, -1), kept.expand(3, -1))
    read = (L * kept[0, :, None]).sum(1) / kept.sum()  # (T, D): the words after the first insertion
    G = G * torch.sigmoid(level.gate(G) + level.W_s(read)[:, :, None, None])
    frames = (1, 2, 0)  # the current one, then the references in the order asked for
    references = [(X[t, None], G[t, None]) for t in frames[1:]]
    U = level.update(X[1, None], G[1, None], x.memory[1].sentence, references)[0]
    torch.testing.assert_close(answer.updated[3], U, **CLOSE)
    for k, Z, t, rate in zip(answer.filters[3], answer.responses[3], frames, level.dilations, strict=True):
        slow = dynamic_filter_reference(level.to_filtered(X[t, None])[:, :2], k[None, :2], rate)[0]
        torch.testing.assert_close(Z[:2], slow, **CLOSE)


def test_a_swapped_word_leaves_everything_before_the_first_insertion_identical(lens):
    x, y = lens.see(0), lens.see(0, swap_word(lens.clips[0].expression, "white", "yellow"))
    assert y.clip.expression == "the dog that is yellow"
    same = {name: torch.equal(x.features[name], y.features[name]) for name in x.features}
    assert same == {name: name in ("Res2", "Res3") for name in same}
    assert (x.answer().probability > 0.5)[y.answer().probability > 0.5].mean() < 0.1  # another dog


@torch.inference_mode()
def test_responses_of_filters_on_the_current_frame_alone_are_its_own():
    world, shipped = ToyWorld("val", window=3, offset=6), ReferringVideoPredictor.from_pretrained("tiny", "cpu")
    for level in shipped.model.lmdf.values():
        level.filtered = "current"
    x, level = Inside(shipped, world[0]), shipped.model.lmdf["3"]
    answer = x.answer((2, 1, 0))
    for k, Z, rate in zip(answer.filters[3], answer.responses[3], level.dilations, strict=True):
        slow = dynamic_filter_reference(level.to_filtered(x.memory[1].reference.X[3])[:, :2], k[None, :2], rate)[0]
        torch.testing.assert_close(Z[:2], slow, **CLOSE)


def test_a_model_without_filters_shows_none():
    torch.manual_seed(0)
    config = preset("tiny", **{"model.lmdf": "off"})
    shipped = ReferringVideoPredictor.from_pretrained("tiny", "cpu")
    x = Inside(ReferringVideoPredictor(DTSE(config.model), shipped.tokenizer, config.data, "cpu"), ToyWorld("val")[0])
    assert x.answer().filters == x.answer().responses == {}
    assert set(x.answer().updated) == {3}


def test_hooks_are_gone_afterwards(lens):
    lens.see(1)
    assert not any(block._forward_pre_hooks for block in lens.predictor.model.encoder.vlmg.values())


# The cache


def test_cached_and_uncached_are_equal(lens):
    first, again = lens.see(1), lens.see(1)
    assert first is again and first.answer((2, 1, 0)) is again.answer((2, 1, 0))
    fresh = Inside(lens.predictor, lens.clips[1])
    assert all(torch.equal(first.features[n], fresh.features[n]) for n in fresh.features)
    assert np.array_equal(first.answer((2, 1, 0)).probability, fresh.answer((2, 1, 0)).probability)


def test_a_second_look_runs_no_part_of_the_model(lens, monkeypatch):
    draws = [partial(views.draw_words, lens, 0, "dog", 1, 2), partial(views.draw_swap, lens, 0, "dog", "ball")]
    draws += [partial(views.draw_filters, lens, 2, 1, 2), partial(views.draw_shuffle, lens, "exchanged", 2)]
    for draw in draws:
        draw()
    monkeypatch.setattr(inside, "collate_clips", None)
    monkeypatch.setattr(DTSE, "decode", None)
    for draw in draws:
        draw()


# Numbers about pictures


def test_change_is_relative_to_the_maps_mean_length():
    gen = torch.Generator().manual_seed(0)
    before, after = torch.randn(2, 5, 3, 4, generator=gen)
    length = np.mean([before[:, i, j].norm() for i in range(3) for j in range(4)])
    slow = [[(after[:, i, j] - before[:, i, j]).norm() / length for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(change(before, after), np.array(slow), rtol=1e-5)
    assert (change(before, before) == 0).all()
    assert np.isfinite(change(torch.zeros(5, 3, 4), after)).all()


def clip_with(truth, twin=None):
    frames = np.zeros((3, *truth.shape, 3), np.uint8)
    return ReferringClip(frames, 1, truth, "the dog", "v", 1, "1", twin_mask=twin)


def strip(*ones, length=20):
    mask = np.zeros((1, length), bool)
    mask[0, list(ones)] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (strip(*range(10)), ""),
        (strip(*range(5)), ""),  # IoU exactly one half
        (strip(*range(4)), "too small"),
        (strip(*range(20)), ""),
        (strip(), "missed"),
        (strip(9, *range(10, 14)), "wrong object"),
        (strip(14, 15, 16), "twin"),
        (strip(9, 14, 15, 16), "twin"),
    ],
)
def test_failures_are_named(mask, kind):
    assert failure(mask, clip_with(strip(*range(10)), strip(14, 15, 16))) == kind


def test_failures_without_a_twin():
    truth = strip(0, 1, 2, 3)
    assert failure(strip(*range(12)), clip_with(truth)) == "too large"
    assert failure(strip(14, 15, 16), clip_with(truth)) == "wrong object"
    assert failure(strip(*range(12)), clip_with(truth), at=0.3) == ""


@given(arrays(bool, (3, 4)), arrays(bool, (3, 4)), st.one_of(st.none(), arrays(bool, (3, 4))))
def test_a_failure_is_named_exactly_where_the_iou_is_below_one_half(mask, truth, twin):
    kind = failure(mask, clip_with(truth, twin))
    assert (kind == "") == (region_similarity(mask, truth) >= 0.5)
    assert kind in ("", *inside.FAILURES)


def test_words_of_one_name_are_numbered_and_can_be_swapped(lens):
    sentence = "the cat under the tree"
    assert swap_word(sentence, "the 2", "a") == "the cat under a tree"
    assert swap_word(sentence, "the", "a") == "a cat under the tree"
    x = Inside(lens.predictor, replace(lens.clips[0], expression=sentence))
    assert x.words == ["[CLS]", "the", "cat", "under", "the 2", "tree", "[SEP]"]
    with pytest.raises(ValueError, match="has no word 'dog'; it has the, cat, under, the 2, tree"):
        swap_word(sentence, "dog", "cat")


# Pictures hold the numbers


def test_bars_are_the_weights_of_the_chosen_position(lens):
    x = lens.see(0)
    figure = views.draw_words(lens, 0, "white", row=5, column=9)
    drawn = [[bar.get_height() for bar in group] for group in figure.axes[1].containers]
    expected = [x.attention[3][:, 5, 9], x.attention[4][:, 2, 4], x.attention[5][:, 2, 4]]
    np.testing.assert_allclose(drawn, torch.stack(expected).numpy(), rtol=1e-5)


def texts(figure):
    return " | ".join(text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts)


def test_a_typed_sentence_is_held_against_each_object(lens):
    objects = {"the dog": lens.clips[0].mask, "all of it": np.ones_like(lens.clips[0].mask)}
    figure = views.draw_prediction(lens, objects, "the yellow dog", threshold=0.02)
    marked = Inside(lens.predictor, replace(lens.clips[0], expression="the yellow dog")).answer().probability > 0.02
    ious = [(marked & mask).sum() / (marked | mask).sum() for mask in objects.values()]
    assert figure.axes[1].lines[0].get_xdata() == pytest.approx(ious)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == list(objects)
    assert '"the yellow dog"' in texts(figure)


@pytest.mark.parametrize(
    ("sentence", "words"), [(" ", "empty expression"), ("zebra", "knows no word"), ("dog " * 99, "limit")]
)
def test_a_typed_sentence_that_says_nothing_is_refused(lens, sentence, words):
    with pytest.raises(ValueError, match=words):
        views.draw_prediction(lens, {"the dog": lens.clips[0].mask}, sentence)


def test_dots_of_a_swap_are_mean_changes_in_the_current_frame(lens):
    x, y = lens.see(0), lens.see(0, "the cat that is white")
    figure = views.draw_swap(lens, 0, "dog", "cat")
    heights = figure.axes[1].collections[1].get_offsets()[:, 1]
    assert list(heights[:2]) == [0, 0]
    moved = (y.features["VLMG4"][1] - x.features["VLMG4"][1]).norm(dim=0).mean()
    assert heights[5] == pytest.approx(float(moved / x.features["VLMG4"].norm(dim=1).mean()), rel=1e-4)
    moved = (y.answer().updated[3] - x.answer().updated[3]).norm(dim=0).mean()
    assert heights[3] == pytest.approx(float(moved / x.answer().updated[3].norm(dim=0).mean()), rel=1e-4)
    names = [label.get_text().replace("\n", "") for label in figure.axes[1].get_xticklabels()]
    assert names == ["Res2", "Res3", "VLMG3", "LMDF3", "Res4", "VLMG4", "Res5", "VLMG5"]


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


@pytest.mark.parametrize(
    ("filtered", "drawn"), [("reference", ["now", "before", "after"]), ("current", ["now", "now", "now"])]
)
def test_a_filter_is_drawn_on_the_frame_that_it_acts_on(monkeypatch, lens, filtered, drawn):
    monkeypatch.setattr(lens.predictor.model.lmdf["3"], "filtered", filtered)
    frames = np.stack([np.full_like(lens.clips[1].frames[0], value) for value in (0, 100, 200)])
    one = Lens(lens.predictor, [replace(lens.clips[1], frames=frames)])
    axes = views.draw_filters(one, 0, 1, 2).axes[0]
    pictures = {text.get_text(): image.get_array() for text, image in zip(axes.texts, axes.images, strict=True)}
    paled = {"before": 120, "now": 170, "after": 220}  # half of the frame's light, and 120
    for rate, name in zip((1, 2, 3), drawn, strict=True):
        assert (pictures[f'rate {rate}: filter on "{name}"'] == paled[name]).all()


def test_grids_differ_with_what_they_show(lens):
    pairs = [
        (views.words_grid(lens, 0), views.words_grid(lens, 2)),
        (views.filters_grid(lens, 0), views.filters_grid(lens, 2)),
        (views.prediction_grid(lens, ["the dog"], (0.1, 0.2)), views.prediction_grid(lens, ["the dog"], (0.1, 0.999))),
        (views.swap_grid(lens, 0, "dog", ["dog", "cat"]), views.swap_grid(lens, 0, "dog", ["dog", "ball"])),
        (views.shuffle_grid(lens, [0]), views.shuffle_grid(lens, [1])),
    ]
    for one, other in pairs:
        assert not np.array_equal(pixels(one), pixels(other))


# `explore`


VIEW = "application/vnd.jupyter.widget-view+json"


class Page:
    """Collects what a notebook would show: pictures at each `plt.show()`, and widgets."""

    def __init__(self, monkeypatch, front_end: bool, headless: str = ""):
        self.pictures, self.widgets = [], []
        plt.switch_backend("Agg")  # at the latest now, as the first figure's choice writes to plt.show
        monkeypatch.setattr(plt, "show", self.show)
        monkeypatch.setattr("IPython.display.display", self.display)
        monkeypatch.setenv("DTSE_HEADLESS", headless)
        monkeypatch.setattr(explore, "_front_end", lambda: front_end)

    def show(self):
        self.pictures += [pixels(plt.figure(number)) for number in plt.get_fignums()]
        plt.close("all")

    def display(self, forms, raw):
        """What a front end makes of it: the widget of that name; other views show the picture."""
        from ipywidgets.widgets.widget import _instances

        assert raw and set(forms) == {VIEW, "image/png", "text/plain"}
        self.widgets.append(_instances[forms[VIEW]["model_id"]])
        self.still = base64.b64decode(forms["image/png"])

    def controls(self):
        [box] = self.widgets
        return {control.description: control for control in box.children[0].children}

    def picture(self):
        """What the picture below the controls shows now."""
        [box] = self.widgets
        assert type(box.children[2]).__name__ == "Image" and not plt.get_fignums()
        return box.children[2].value


def draw_line(slope: int, color: str = "red", width: float = 2.0):
    figure, ax = plt.subplots()
    ax.plot([0, slope], color=color, linewidth=width)
    ax.set_ylim(0, 10)


CHOICES = {"slope": range(0, 9, 2), "color": ["blue", "red"], "width": (1.0, 5.0, 0.5)}


@pytest.mark.parametrize(("front_end", "headless"), [(False, ""), (True, "1")])
def test_without_a_front_end_or_headless_there_are_pictures_and_no_widget(monkeypatch, capsys, front_end, headless):
    page = Page(monkeypatch, front_end, headless)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # not even imported
    explore.explore(draw_line, grid=partial(draw_line, 1, "green"), **CHOICES)
    assert len(page.pictures) == 2 and page.widgets == [] and capsys.readouterr().out == ""
    draw_line(4, "red", 2.0)  # the defaults: the middle of the slider, and those of the function
    assert np.array_equal(page.pictures[1], pixels(plt.gcf()))
    draw_line(1, "green")
    assert np.array_equal(page.pictures[0], pixels(plt.gcf()))


def test_with_a_front_end_a_control_redraws_and_the_picture_changes(monkeypatch):
    page = Page(monkeypatch, front_end=True)
    explore.explore(draw_line, **CHOICES)
    controls, seen = page.controls(), [page.picture()]
    assert page.pictures == [] and page.still == seen[0]  # once: below the controls, or in their place
    kinds = {name: type(control).__name__ for name, control in controls.items()}
    assert kinds == {"slope": "IntSlider", "color": "Dropdown", "width": "FloatSlider"}
    assert (controls["slope"].min, controls["slope"].max, controls["slope"].step) == (0, 8, 2)
    assert {name: control.value for name, control in controls.items()} == {"slope": 4, "color": "red", "width": 2.0}
    for name, value in (("slope", 8), ("color", "blue"), ("width", 5.0)):
        controls[name].value = value
        seen.append(page.picture())
    assert len(set(seen)) == 4
    draw_line(8, "blue", 5.0)
    plt.savefig(file := io.BytesIO(), bbox_inches="tight")
    assert seen[-1] == file.getvalue()


def test_a_typed_text_redraws_and_a_refused_one_is_named(monkeypatch):
    def draw_text(text: str):
        if not text:
            raise ValueError("say something")
        plt.figtext(0.5, 0.5, text)

    page = Page(monkeypatch, front_end=True)
    explore.explore(draw_text, text="a dog")
    [control], before = page.controls().values(), page.picture()
    said = page.widgets[0].children[1]
    assert (type(control).__name__, control.value, said.value) == ("Text", "a dog", "")
    control.value = ""
    assert said.value == "error: say something" and page.picture() == before
    control.value = "a cat"
    assert said.value == "" and page.picture() != before


EXPLORERS = {
    "words": (views.draw_words, (0,), {"word": ["dog", "white"], "row": range(8), "column": range(12)}),
    "filters": (views.draw_filters, (2,), {"row": range(8), "column": range(12)}),
    "prediction": (views.draw_prediction, (), {"sentence": "the dog", "threshold": (0.05, 0.95, 0.05)}),
    "swap": (views.draw_swap, (0,), {"word": ["dog", "white"], "by": ["ball", "cat"], "threshold": (0.0, 1.0, 0.1)}),
    "shuffle": (views.draw_shuffle, (), {"order": ["as it is", "exchanged"], "clip": range(3)}),
}


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_of_every_explorer_changes_its_picture(monkeypatch, lens, name):
    draw, first, choices = EXPLORERS[name]
    if "sentence" in choices:
        first = ({"the dog": lens.clips[0].mask},)
    page = Page(monkeypatch, front_end=True)
    explore.explore(partial(draw, lens, *first), **choices)
    for choice, control in page.controls().items():
        before = page.picture()
        typed = "the ball" if choice == "sentence" else None
        control.value = typed or (choices[choice][-1] if isinstance(choices[choice], list) else control.max)
        assert page.picture() != before, choice


def test_the_front_end_is_a_kernel(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    assert not explore._front_end()
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=None))
    assert not explore._front_end()
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert explore._front_end()


def test_without_ipywidgets_it_says_what_to_install(monkeypatch, capsys):
    page = Page(monkeypatch, front_end=True)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    explore.explore(draw_line, **CHOICES)
    assert len(page.pictures) == 1 and "pip install ipywidgets" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"slop": range(3)}, r"no choice slop \(did you mean 'slope'\?\); it has slope, color, width"),
        ({"slope": []}, "the choice slope has no options"),
        ({"slope": range(0)}, "the choice slope has no options"),
        ({"slope": [1], "color": ["blue"]}, "color starts at 'red', which is not one of its options"),
        ({"slope": [1], "width": (3.0, 5.0, 1.0)}, "width starts at 2.0, which is not one of its options"),
    ],
)
def test_wrong_choices_are_refused_before_anything_is_drawn(monkeypatch, choices, words):
    page = Page(monkeypatch, front_end=False)
    with pytest.raises(ValueError, match=words):
        explore.explore(draw_line, **choices)
    assert page.pictures == []
