"""Sentences: cleaned, cut into word pieces, and the tokenizer that cuts them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..shared.files import as_text

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent / "toy" / "vocab"  # of the tiny preset's tokenizer, which ships with the package
FOLDERS = {1: FOLDER, 2: FOLDER.parent / "level2" / "vocab"}  # by level of the toy world


def tokenize(expressions: Sequence[str], tokenizer, max_words: int, refuse: bool = True) -> "tuple[Tensor, Tensor]":
    """Word pieces and their mask, both (B, N) int64; shorter sentences are padded at the end.

    Raises `ValueError` for an expression without words, and for one of more than `max_words` pieces, which
    include the two marks around each sentence. `refuse=False` is for a data set, in which no single sentence may end
    a run: of a longer one the end is cut off, and one without words is its two marks.
    """
    cleaned = [clean_expression(text) for text in expressions]
    words = tokenizer(
        cleaned,
        padding=True,
        padding_side="right",  # whatever a folder says: the first word is the mark that stands for the sentence
        truncation=not refuse,
        max_length=max_words,
        return_tensors="pt",
        verbose=False,
    )
    input_ids, attention_mask = words["input_ids"], words["attention_mask"]  # (B, N) each
    marks = tokenizer.num_special_tokens_to_add()
    for text, pieces in zip(expressions, attention_mask.sum(1).tolist(), strict=True):
        if refuse and pieces <= marks:
            raise ValueError(f"empty expression {text!r}; say what to look for, such as 'the dog on the left'")
        if refuse and pieces > max_words:
            raise ValueError(
                f"expression of {pieces} word pieces, the limit is {max_words}: {text[:60]!r}...; "
                "shorten it, or raise data.max_words if the text stream takes more"
            )
    return input_ids, attention_mask


def is_too_long(expression: str, tokenizer, max_words: int) -> bool:
    """True if a sentence has more word pieces than `max_words`, its two marks included."""
    return len(tokenizer(clean_expression(expression), truncation=False, verbose=False)["input_ids"]) > max_words


def clean_expression(text: str) -> str:
    """Lower case, and single spaces for white space of any kind."""
    return " ".join(as_text(text).lower().split())


def load_tokenizer(name: str | Path, level: int):
    """The tokenizer of a text stream: `"tiny-bert"` ships with the package, others by folder or hub name.

    `level`: of the toy world whose words tiny-bert knows, `data.level` of the settings; others have their own words.

    Raises `ValueError` if the folder, the cache and the network all do not have it.
    """
    tokenizer = _find_tokenizer(name, level)
    tokenizer.model_max_length = min(tokenizer.model_max_length, 2**20)  # 10**30 where a folder has no limit
    return tokenizer


def _find_tokenizer(name: str | Path, level: int):
    from transformers import AutoTokenizer

    if str(name) == "tiny-bert":
        return AutoTokenizer.from_pretrained(FOLDERS[level])
    try:
        try:
            return AutoTokenizer.from_pretrained(name, local_files_only=True)
        except Exception:  # not in the cache; asking there first spares a machine without network the retries
            return AutoTokenizer.from_pretrained(name)
    except Exception as error:  # the hub's client has many
        raise ValueError(
            f"no tokenizer {str(name)!r}: expected tiny-bert, a folder with tokenizer files, or a hub name that is in "
            "the cache or can be downloaded; check the name, or go online once"
        ) from error
