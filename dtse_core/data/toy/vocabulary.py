"""The toy world's vocabulary, from which the tokenizer of the `tiny` preset is made.

    python -m dtse_core.data.toy.vocabulary

writes `vocab/` anew after the toy world has learned a word.
"""

import json
import string
from pathlib import Path

from ..sentences import FOLDER
from .words import WORDS

SIZE = 256  # the tiny text stream's embedding; what is left over is kept free
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def toy_vocabulary() -> list[str]:
    """256 word pieces in BERT's form: the toy world's words, and the letters that spell every other English word."""
    letters = [*string.ascii_lowercase, *string.digits]
    known = [*SPECIAL, *string.punctuation, *letters, *("##" + c for c in letters)]
    known += [word for word in WORDS if word not in known]
    if len(known) > SIZE:
        raise ValueError(
            f"the toy world has {len(known)} word pieces, {SIZE} fit: raise SIZE and tiny-bert's vocab_size"
        )
    return known + [f"[unused{k}]" for k in range(SIZE - len(known))]


def write_vocabulary(folder: Path = FOLDER) -> None:
    """Writes the files from which transformers makes a BERT tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(toy_vocabulary()) + "\n", encoding="utf-8")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_vocabulary()
