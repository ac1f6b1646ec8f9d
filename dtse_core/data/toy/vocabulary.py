"""The toy world's vocabularies, from which the tokenizers of the `tiny` preset are made: one for each level.

    python -m dtse_core.data.toy.vocabulary

writes both `vocab/` folders again after the toy world has got a new word.
"""

import json
import string
from collections.abc import Sequence
from pathlib import Path

from ..sentences import FOLDERS
from .level2.words import WORDS as DIAGNOSTIC
from .words import WORDS

SIZE = 256  # the tiny text stream's embedding; what is left over is kept free
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def toy_vocabulary(words: Sequence[str] = WORDS) -> list[str]:
    """256 word pieces in BERT's form: a level's words, and the letters that spell every other English word."""
    letters = [*string.ascii_lowercase, *string.digits]
    known = [*SPECIAL, *string.punctuation, *letters, *("##" + c for c in letters)]
    known += [word for word in words if word not in known]
    if len(known) > SIZE:
        raise ValueError(
            f"the toy world has {len(known)} word pieces, {SIZE} fit: raise SIZE and tiny-bert's vocab_size"
        )
    return known + [f"[unused{k}]" for k in range(SIZE - len(known))]


def write_vocabulary(folder: Path, words: Sequence[str]) -> None:
    """Writes the files from which transformers makes a BERT tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(toy_vocabulary(words)) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for level, words in ((1, WORDS), (2, DIAGNOSTIC)):
        write_vocabulary(FOLDERS[level], words)
