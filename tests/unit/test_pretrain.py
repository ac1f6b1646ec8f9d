"""Text streams that learn their language before a study: from training sentences, by masked words."""

import torch

from benchmarks.pretrain import masked, pretrain_words, training_sentences
from dtse_core.data import ToyWorld
from dtse_core.data.sentences import load_tokenizer, tokenize
from dtse_core.streams import LinguisticStream


def test_a_sixth_of_the_words_is_hidden_as_bert_hides_them_and_marks_never():
    torch.manual_seed(0)
    tokenizer = load_tokenizer("tiny-bert", 1)
    ids, word_mask = tokenize(["the red dog", "the small cat left of the blue box"] * 1000, tokenizer, 64)
    found, labels = masked(ids, word_mask, tokenizer)
    hidden, words = labels >= 0, (word_mask > 0) & (ids != tokenizer.cls_token_id) & (ids != tokenizer.sep_token_id)
    assert torch.equal(labels[hidden], ids[hidden]) and (labels[~hidden] == -100).all()
    assert not hidden[~words].any() and torch.equal(found[~hidden], ids[~hidden])
    assert abs(hidden.sum() / words.sum() - 0.15) < 0.02
    shown = found[hidden]
    shares = [(shown == tokenizer.mask_token_id).float().mean(), (shown == ids[hidden]).float().mean()]
    assert abs(shares[0] - 0.8) < 0.03 and abs(shares[1] - 0.1) < 0.03


def test_its_sentences_are_those_of_training_clips_of_its_level():
    world = ToyWorld("train", 30)
    assert set(training_sentences(1, 30)) == {said.text for k in range(30) for said in world.scene(k).sentences}
    assert len(training_sentences(2, 3)) > 3 and not set(training_sentences(2, 3)) & set(training_sentences(1, 30))


def test_it_learns_and_is_read_as_a_text_stream(tmp_path, capsys):
    model = pretrain_words(1, steps=60, clips=30)
    assert float(capsys.readouterr().out.split("last steps ")[1].split(",")[0]) > 0.15  # of 256 words
    model.bert.save_pretrained(tmp_path)
    kept, found = model.bert.state_dict(), LinguisticStream(str(tmp_path), pretrained=True).bert.state_dict()
    assert kept.keys() == found.keys() and all(torch.equal(found[key], kept[key]) for key in kept)
