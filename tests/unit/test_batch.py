"""Clips of any size become one batch; no word is lost on the way, and none is unknown."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from dtse_core.config import preset
from dtse_core.data.batch import collate_clips
from dtse_core.data.build import build_dataset
from dtse_core.data.clip import ReferringClip
from dtse_core.data.sentences import FOLDERS, clean_expression, load_tokenizer, tokenize
from dtse_core.data.toy.level2.words import WORDS as DIAGNOSTIC
from dtse_core.data.toy.vocabulary import SPECIAL, toy_vocabulary, write_vocabulary
from dtse_core.data.toy.words import WORDS
from dtse_core.data.transforms import resize_frames, resize_mask
from dtse_core.shared.files import read_json


@pytest.fixture(scope="module")
def tiny():
    return load_tokenizer("tiny-bert", 1)


def make_clip(expression="the dog", height=20, width=30, window=3, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (window, height, width, 3), np.uint8)
    return ReferringClip(frames, window // 2, rng.random((height, width)) > 0.5, expression, f"video{seed}", 1, "1")


def test_clips_of_different_sizes_become_one_batch(tiny):
    clips = [make_clip("the red dog", 20, 30), make_clip("a cat that is running", 31, 17, seed=1)]
    batch = collate_clips(clips, tiny, (16, 24), 64)
    assert batch.frames.shape == (2, 3, 3, 16, 24) and batch.masks.shape == (2, 16, 24)
    assert batch.frames.dtype == batch.masks.dtype == torch.float32
    assert batch.input_ids.shape == batch.attention_mask.shape == (2, 7)
    assert batch.input_ids.dtype == batch.attention_mask.dtype == torch.int64
    for k, clip in enumerate(clips):
        assert torch.equal(batch.frames[k], resize_frames(clip.frames, (16, 24)))
        assert torch.equal(batch.masks[k], resize_mask(clip.mask, (16, 24)))
        assert batch.clips[k] is clip  # at its original size, for scoring


def test_padding_leaves_kept_words_unchanged(tiny):
    texts = ["dog", "the small red dog on the left", "a cat running"]
    ids, mask = tokenize(texts, tiny, 64)
    for k, text in enumerate(texts):
        alone, _ = tokenize([text], tiny, 64)
        count = int(mask[k].sum())
        assert ids[k, :count].tolist() == alone[0].tolist()
        assert mask[k].tolist() == [1] * count + [0] * (ids.shape[1] - count)
        assert (ids[k, count:] == tiny.pad_token_id).all()
        assert tiny.decode(ids[k, 1 : count - 1]) == text  # between the two marks


def test_a_batch_moves_as_a_whole(tiny):
    batch = collate_clips([make_clip()], tiny, (8, 8), 64)
    moved = batch.to("meta")
    assert {x.device.type for x in (moved.frames, moved.input_ids, moved.attention_mask, moved.masks)} == {"meta"}
    assert moved.clips is batch.clips
    assert torch.equal(batch.to("cpu", non_blocking=True).frames, batch.frames)
    if torch.cuda.is_available():
        pinned = batch.pin_memory()
        assert all(x.is_pinned() for x in (pinned.frames, pinned.input_ids, pinned.attention_mask, pinned.masks))


@pytest.mark.parametrize("text", ["", "  \t\n", "\u200b", "\u00ad"])
def test_an_expression_without_words_is_an_error(tiny, text):
    with pytest.raises(ValueError, match="empty expression .*say what to look for"):
        tokenize(["a dog", text], tiny, 64)


def test_a_long_expression_is_an_error_and_never_cut(tiny):
    ids, _ = tokenize(["dog " * 62], tiny, 64)
    assert ids.shape == (1, 64)
    with pytest.raises(ValueError, match="expression of 65 word pieces, the limit is 64: 'dog dog.*shorten it"):
        tokenize(["a dog", "dog " * 63], tiny, 64)


def test_no_sentence_of_a_data_set_ends_a_run(tiny):
    said = ["a red dog", "dog " * 100, "zyx qwv", "\u200b"]
    batch = collate_clips([make_clip(text) for text in said], tiny, (8, 8), 64)
    assert batch.input_ids.shape == (4, 64) and batch.attention_mask.sum(1).tolist()[::3] == [5, 2]
    first, last = tiny.cls_token_id, tiny.sep_token_id
    assert batch.input_ids[1].tolist() == [first, *[tiny.convert_tokens_to_ids("dog")] * 62, last]
    assert batch.input_ids[3, :2].tolist() == [first, last]
    alone, _ = tokenize(said[:1], tiny, 64)
    assert batch.input_ids[0, :5].tolist() == alone[0].tolist()  # what fits is as it was


def test_one_batch_has_one_window(tiny):
    with pytest.raises(ValueError, match="v_video1_f_1_i_1 and v_video0_f_1_i_1 have different windows"):
        collate_clips([make_clip(), make_clip(window=5, seed=1)], tiny, (8, 8), 64)
    with pytest.raises(ValueError, match="different windows"):
        collate_clips([make_clip(), replace(make_clip(seed=1), current=2)], tiny, (8, 8), 64)


@given(st.text())
def test_cleaning_is_idempotent_and_leaves_single_spaces(text):
    cleaned = clean_expression(text)
    assert clean_expression(cleaned) == cleaned
    assert cleaned.split() == cleaned.split(" ") or not cleaned


def test_cleaning_lowers_and_collapses():
    assert clean_expression("  A  Dog\tRunning\n to the\u00a0LEFT ") == "a dog running to the left"


@pytest.mark.parametrize(("level", "words"), [(1, WORDS), (2, DIAGNOSTIC)])
def test_the_shipped_vocabularies_are_those_of_the_toy_world(tmp_path, level, words):
    write_vocabulary(tmp_path, words)
    for name in ("vocab.txt", "tokenizer_config.json"):
        shipped, fresh = (Path(folder) / name for folder in (FOLDERS[level], tmp_path))
        assert shipped.read_bytes() == fresh.read_bytes(), "run python -m dtse_core.data.toy.vocabulary"
    vocabulary = toy_vocabulary(words)
    assert len(vocabulary) == len(set(vocabulary)) == 256
    assert set(words) <= set(vocabulary) and vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_toy_words_are_single_pieces(tiny):
    assert len(tiny) == 256
    for word in WORDS:
        assert tiny.tokenize(word) == [word]


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90))
def test_no_english_word_is_unknown(text):
    assume(not any(mark.lower() in text.lower() for mark in SPECIAL))  # [UNK] typed by hand is what it says
    tokenizer = load_tokenizer("tiny-bert", 1)
    pieces = tokenizer.tokenize(text)
    assert "[UNK]" not in pieces
    assert "".join(piece.removeprefix("##") for piece in pieces) == text.lower()


def test_a_saved_tokenizer_loads_from_its_folder(tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    texts = ["the dog on the left", "a zebra, 42!"]
    for a, b in zip(tokenize(texts, load_tokenizer(tmp_path, 1), 64), tokenize(texts, tiny, 64), strict=True):
        assert torch.equal(a, b)


def test_a_real_bert_tokenizer_works_alike(minilm):
    tokenizer = load_tokenizer(minilm, 1)
    ids, mask = tokenize(["the dog", "two brown dogs chasing each other"], tokenizer, 64)
    assert ids.shape == (2, 8) and mask.sum(1).tolist() == [4, 8]
    assert ids[0].tolist() == [101, 1996, 3899, 102, 0, 0, 0, 0]  # [CLS] the dog [SEP], as in BERT's own vocabulary
    with pytest.raises(ValueError, match="expression of 302 word pieces"):  # its own limit does not cut either
        tokenize(["dog " * 300], tokenizer, 64)


MARKS = {
    "bert": ("[CLS]", "[SEP]", "[PAD]"),  # MiniLM, ELECTRA and DistilBERT have the same
    "roberta": ("<s>", "</s>", "<pad>"),
    "mpnet": ("<s>", "</s>", "<pad>"),
    "modernbert": ("[CLS]", "[SEP]", "[PAD]"),
}


def family_tokenizer(family: str):
    """A small tokenizer built as the family's are: word pieces, or pairs of bytes that know a space from none."""
    cls, sep, pad = MARKS[family]
    names = {"cls_token": cls, "sep_token": sep, "pad_token": pad, "unk_token": "[UNK]", "mask_token": "[MASK]"}
    special = [*names.values()]
    if family in ("bert", "mpnet"):
        core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        core.normalizer, core.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        core.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=special)
    else:
        core = Tokenizer(models.BPE())
        core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    core.train_from_iterator(["the dog on the left", "two brown dogs chasing each other"] * 9, trainer)
    ids = [(mark, core.token_to_id(mark)) for mark in (cls, sep)]
    core.post_processor = processors.TemplateProcessing(f"{cls} $A {sep}", special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=core, padding_side="left", **names)


@pytest.mark.parametrize("family", MARKS)
def test_the_tokenizer_of_every_family_marks_pads_and_counts_alike(tmp_path, family):
    family_tokenizer(family).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path, 1)
    texts = ["the  Dog", "two brown dogs CHASING each other"]
    ids, mask = tokenize(texts, tokenizer, 64)
    assert ids.shape == mask.shape and mask.sum(1).max() == ids.shape[1]
    for text, row, words in zip(texts, ids.tolist(), mask.sum(1).tolist(), strict=True):
        assert row[0] == tokenizer.cls_token_id and row[words - 1] == tokenizer.sep_token_id
        assert set(row[words:]) <= {tokenizer.pad_token_id}, "padding stands at the end"
        assert "".join(tokenizer.decode(row[1 : words - 1]).split()) == "".join(text.lower().split())
    with pytest.raises(ValueError, match="empty expression"):
        tokenize([" "], tokenizer, 64)
    with pytest.raises(ValueError, match="the limit is 4"):
        tokenize(texts[1:], tokenizer, 4)
    tokenizer.save_pretrained(tmp_path / "again")
    assert read_json(tmp_path / "again" / "tokenizer_config.json")["pad_token"] == MARKS[family][2]
    cut, _ = tokenize(texts[1:], tokenizer, 4, refuse=False)
    assert cut.shape == (1, 4) and cut[0, 3] == tokenizer.sep_token_id


def test_a_tokenizer_that_is_nowhere_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in (tmp_path, "no-such-owner/no-such-model"):
        with pytest.raises(ValueError, match="no tokenizer .*expected tiny-bert, a folder .*go online once"):
            load_tokenizer(name, 1)


def test_the_toy_world_and_a2d_are_built_by_name(toy_a2d_root):
    data = preset("tiny", **{"data.toy_clips": 7, "data.toy_seed": 3, "data.offset": 4}).data
    train, test = build_dataset(data, "train", 5, causal=True), build_dataset(data, "test", 3)
    assert len(train) == 7 and train[0].frames.shape == (5, 64, 96, 3) and train[0].current == 4
    assert len(test) >= 100 and test[0].frames.shape == (3, 64, 96, 3) and test[0].current == 1
    assert (train.seed, train.offset, train.split, test.split) == (3, 4, "train", "test")
    a2d = build_dataset(replace(data, name="a2d", root=str(toy_a2d_root)), "twins", 1)
    assert a2d.split == "twins" and a2d[0].frames.shape == (1, 64, 96, 3) and a2d.offset == 4
    with pytest.raises(ValueError, match="data.name is 'coco'; it must be one of toy, a2d, jhmdb"):
        replace(data, name="coco")  # before anything is built, as in a run.json or a grid
    with pytest.raises(ValueError, match="data.root is missing"):
        build_dataset(replace(data, name="a2d"), "test", 3)


def test_a_loader_with_workers_gives_the_batches_of_one_without(tiny):
    data = build_dataset(preset("tiny", **{"data.toy_clips": 6}).data, "train", 3)
    collate = partial(collate_clips, tokenizer=tiny, size=(32, 48), max_words=64)
    loaders = [DataLoader(data, 3, collate_fn=collate, num_workers=n) for n in (0, 2)]
    for a, b in zip(*loaders, strict=True):
        assert torch.equal(a.frames, b.frames) and torch.equal(a.input_ids, b.input_ids)
        assert [x.sample_id for x in a.clips] == [x.sample_id for x in b.clips]
