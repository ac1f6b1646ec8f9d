"""Finds and loads checkpoints, and checks that their files fit together.

    model.safetensors   the weights
    config.json         the architecture (`ModelConfig`), with both streams' own settings
    run.json            all settings of the run that made it, the data and the size of its frames among them, and the
                        format of all settings here
    tokenizer.json      the tokenizer; tokenizer_config.json names its marks

A checkpoint is these five files in one folder. Nothing outside it is looked up or opened, whatever they say or are: a
link may lead to the hub's `blobs`, where its cache keeps them, and nowhere else. A file that is missing, damaged or
does not fit the others is an error of one line that names it.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..config import FORMAT, YOUNGER, Allowed, ModelConfig, Outdated, RunConfig, Share, checked, from_dict
from ..shared.files import read_json
from ..streams import TEXT, VISUAL, built_from, longest_sentence, smallest_side

WEIGHTS, CONFIG, RUN, WORDS, MARKS = FILES = (
    "model.safetensors",
    "config.json",
    "run.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
PACKAGED = Path(__file__).parent  # what ships with the package: "tiny"
AGAIN = "copy the checkpoint again from the run that made it, or download it again"
LEAST = "least_confidence"  # in run.json beside the settings: below it nothing is marked, see `scoring.calibration`
DRAWN = "drawn"  # in run.json beside the settings: the clips came from a toy world, in memory or on disk
ANSWER = ("data.name", "data.size", "data.offset", "data.max_words")  # of run.json: what an answer depends on
Letters = Annotated[int, Allowed("1 to 1000", range(1, 1001).__contains__)]  # WordPiece tries each part of a word
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
STEPS = ("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents")  # of a tokenizer
STEPS += ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Sequence", "ByteLevel")
Model = TypeVar("Model", bound=nn.Module)


def checkpoint_folder(run_or_name: str | Path, **hub: Any) -> Path:
    """The folder with the weights of a shipped name ("tiny"), a run folder, a checkpoint folder or a hub name.

    A run folder stands for its `final`. `hub`: `revision`, `token` and the like of the hub's `snapshot_download`.
    Raises `FileNotFoundError` that names every place looked at.
    """
    name, path = str(run_or_name), Path(run_or_name)
    places = [path, path / "final"] if name else []
    if re.fullmatch(r"\w[\w.-]*", name):
        places.insert(0, PACKAGED / name)
    for folder in places:
        if (folder / WEIGHTS).is_file():
            return folder
    looked = [str(folder / WEIGHTS) for folder in places]
    hint = "; tiny ships with the package, and `dtse train` makes others"
    if (path / "best" / WEIGHTS).is_file():
        hint = f"; the run is not finished, its best weights so far are {path / 'best'}"
    elif (path / RUN).is_file():
        hint = "; the run is not finished: resume its training first"
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not path.exists():
        try:
            return _download(name, **hub)
        except Exception as error:  # offline, no such repository, no such file: each has its own class
            looked.append(f"the Hugging Face hub's {name} ({type(error).__name__})")
    raise FileNotFoundError(f"no checkpoint {name!r}: looked for {', '.join(looked) or 'nothing'}{hint}")


def _download(name: str, **hub: Any) -> Path:
    from huggingface_hub import snapshot_download

    folder = Path(snapshot_download(name, allow_patterns=list(FILES), **hub))
    if not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{name} holds no {WEIGHTS}")
    return folder


def load_model(folder: str | Path, kind: type[Model]) -> Model:
    """The model of a checkpoint, in evaluation mode: a `kind`, which is built from its architecture.

    Names, shapes and types of all weights are compared before memory is taken. Raises `FileNotFoundError` or
    `ValueError` naming the file.
    """
    config, file = read_model_config(folder), _own(Path(folder) / WEIGHTS)
    with _told(Path(folder) / CONFIG, "describes no model"), torch.device("meta"):
        wanted = kind(config).state_dict()
    with _told(file, "cannot be read"):
        weights = load_file(file)
    for name in sorted(wanted.keys() | weights.keys()):
        found, expected = (_about(tensors.get(name)) for tensors in (weights, wanted))
        if found != expected:
            raise ValueError(
                f"{file} does not hold the {kind.__name__} that its {CONFIG} describes: {name} is {found}, expected "
                f"{expected}; name a checkpoint of {kind.__name__}, or {AGAIN}"
            )
        if not weights[name].to(wanted[name].dtype).isfinite().all():  # as the model will hold it
            raise ValueError(f"{file}: {name} holds NaN or infinity, which no sound training writes; {AGAIN}")
    model = kind(config)
    model.load_state_dict(weights)
    return model.eval()


def _about(tensor: Tensor | None) -> str:
    if tensor is None:
        return "not there"
    kind = "float" if tensor.dtype in FLOATS else str(tensor.dtype).removeprefix("torch.")
    return f"{kind} {tuple(tensor.shape)}"


def read_model_config(folder: str | Path) -> ModelConfig:
    """The architecture, from config.json; of the streams' own settings those that they are built from.

    Raises `FileNotFoundError` or `ValueError` naming the file.
    """
    found, run = _read(file := Path(folder) / CONFIG), Path(folder) / RUN
    written = _read(run).get("format", 1) if run.is_file() else FORMAT
    with _told(file, "does not hold an architecture"):
        config = from_dict({"format": written} | {f"model.{name}": value for name, value in found.items()}).model
        _require(found, [f.name for f in dataclasses.fields(ModelConfig) if f"model.{f.name}" not in YOUNGER])
        _require(saved := config.saved_streams, ["visual", "text"], "saved_streams.")
        saved = {
            stream: built_from(families, saved[stream], f"saved_streams.{stream}.{{}}")
            for stream, families in (("visual", VISUAL), ("text", TEXT))
        }
        return dataclasses.replace(config, saved_streams=saved)


def read_run_config(folder: str | Path) -> RunConfig:
    """The settings of the run that made a checkpoint, from its run.json.

    Raises `FileNotFoundError` or `ValueError` naming the file, also if config.json says otherwise.
    """
    found = _read(file := Path(folder) / RUN)
    with _told(file, "does not hold the settings of a run"):
        config = from_dict({name: value for name, value in found.items() if name not in (DRAWN, LEAST)})
        _require(found, ANSWER)
    model = read_model_config(folder)
    for name, value in vars(model).items():
        if name != "saved_streams" and value != getattr(config.model, name):
            said = getattr(config.model, name)
            raise ValueError(f"{file} says model.{name} = {said!r}, {CONFIG} beside it {value!r}; {AGAIN}")
    if config.data.max_words > (longest := longest_sentence(model.saved_streams["text"])):
        raise ValueError(
            f"{file} says data.max_words = {config.data.max_words}, the text stream takes {longest}; {AGAIN}"
        )
    if min(config.data.size) < (smallest := smallest_side(model.saved_streams["visual"])):
        raise ValueError(f"{file} says data.size = {config.data.size}, the visual stream takes {smallest} up; {AGAIN}")
    return config


def saw_drawn_clips(folder: str | Path) -> bool:
    """True for a model that was trained on a toy world, in memory or on disk, as its run.json says.

    Raises `FileNotFoundError` or `ValueError` naming the file.
    """
    found = _read(file := Path(folder) / RUN)
    with _told(file, "does not tell what the model has seen"):
        return checked(DRAWN, found.get(DRAWN, found["data.name"] == "toy"), bool)


def read_least_confidence(folder: str | Path) -> float:
    """The confidence below which a checkpoint's answers are left empty, as its run.json says; 0 if it says nothing.

    Raises `FileNotFoundError` or `ValueError` naming the file.
    """
    found = _read(file := Path(folder) / RUN)
    with _told(file, "does not tell from which confidence on the model marks anything"):
        return checked(LEAST, found.get(LEAST, 0.0), Share)


def read_tokenizer(folder: str | Path):
    """The tokenizer that training wrote beside the weights.

    Raises `FileNotFoundError` or `ValueError` naming the file, also if the text stream lacks a word of it.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    found, rows = _words(folder), read_model_config(folder).saved_streams["text"]["vocab_size"]
    with _told(Path(folder) / WORDS, "does not hold a tokenizer"):
        for part in ("normalizer", "pre_tokenizer"):
            _require_plain(found.get(part), part)
        tokenizer = Tokenizer.from_str(json.dumps(found))
        checked("max_input_chars_per_word", found["model"].get("max_input_chars_per_word", 100), Letters)
        vocabulary, given = tokenizer.get_vocab(), tokenizer.encode("the dog").ids
        if len({*vocabulary.values()}) < len(vocabulary):
            raise ValueError("words share a number")
        if not given or max(given + list(vocabulary.values())) >= rows:
            raise ValueError(f"the text stream has {rows} words, it has {len(vocabulary)}")
    marks = _marks(folder)
    if strange := [mark for mark in marks.values() if mark not in vocabulary]:
        raise ValueError(
            f"{Path(folder) / MARKS} names {strange[0]!r:.60}, which {WORDS} beside it does not have; {AGAIN}"
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)


def _require_plain(step: Any, part: str) -> None:
    """Raises `ValueError` for a step before the vocabulary that no text stream has: some write a text a million times
    as long, or search it without end."""
    kind = step.get("type") if isinstance(step, dict) else step
    if kind not in (None, *STEPS):
        raise ValueError(f"its {part} is {kind!r:.60}; it must be one of {', '.join(STEPS)}")
    for inner in step.get(f"{part.replace('_', '')}s", []) if kind == "Sequence" else []:
        _require_plain(inner, part)


def _words(folder: str | Path) -> dict[str, Any]:
    """What tokenizer.json holds, without how it last padded and cut: each call says that."""
    found = _read(Path(folder) / WORDS)
    return {name: value for name, value in found.items() if name not in ("padding", "truncation")}


def _marks(folder: str | Path) -> dict[str, str]:
    """What pads a sentence, stands around it and stands for unknown words: by name, from tokenizer_config.json."""
    found = _read(file := Path(folder) / MARKS)
    with _told(file, "does not name the tokenizer's marks"):
        marks = {f"{name}_token": found.get(f"{name}_token") for name in ("pad", "unk", "cls", "sep", "mask")}
        marks = {name: mark.get("content") if isinstance(mark, dict) else mark for name, mark in marks.items()}
        if wrong := [name for name, mark in marks.items() if not isinstance(mark, str)]:
            raise ValueError(f"{wrong[0]} is {marks[wrong[0]]!r:.60}")
        return marks


def checkpoint_sha256(folder: str | Path) -> str:
    """SHA-256 of the weights' file in a checkpoint folder, as 64 hexadecimal digits."""
    with open(_own(Path(folder) / WEIGHTS), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_sha256(folder: str | Path) -> str:
    """SHA-256 of all that makes a model's answers: weights, architecture, tokenizer, the size that it sees, and its
    least confidence, if it has one.

    It is the same for the same content, in whatever order and with whatever spaces the files hold it, and whether or
    not they hold what a younger setting was before. Raises as `load_model`, `read_run_config` and `read_tokenizer` do.
    """
    folder, digests = Path(folder), {}
    with _told(file := _own(folder / WEIGHTS), "cannot be read"):
        for name, tensor in load_file(file).items():
            content = hashlib.sha256(tensor.flatten().view(torch.uint8).numpy()).hexdigest()
            digests[name] = [str(tensor.dtype), list(tensor.shape), content]
    config = dataclasses.asdict(read_model_config(folder))
    config = {name: x for name, x in config.items() if x != YOUNGER.get(f"model.{name}", ...)}
    whole = [digests, config, _words(folder), _marks(folder), read_run_config(folder).data.size]
    whole += [least] if (least := read_least_confidence(folder)) else []
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; a checkpoint folder holds {', '.join(FILES)}: {AGAIN}")
    return read_json(_own(file))


def _own(file: Path) -> Path:
    """A file of a checkpoint. Raises `ValueError` for a link that leads out of its folder, save to the hub's blobs."""
    folder, place = file.parent.resolve(), file.resolve()
    blobs = folder.parents[min(1, len(folder.parents) - 1)] / "blobs"  # beside snapshots/COMMIT/
    if file.is_symlink() and place.parent not in (folder, blobs):
        raise ValueError(f"{file} is a link to {place}, outside its folder; copy the file itself again")
    return file


def _require(found: Any, names: Iterable[str], where: str = "") -> None:
    if not isinstance(found, dict):
        raise ValueError(f"expected settings by name, found {found!r:.60}")
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{where}{missing[0]} is missing")


@contextmanager
def _told(file: Path, what: str) -> Iterator[None]:
    """Turns an error raised inside into a `ValueError` of one line that names file and remedy."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except Outdated as error:  # which another copy would be, too
        raise Outdated(f"{file}: {error}") from error
    except BaseException as error:  # settings, safetensors and transformers have their own, and tokenizers panics
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{file} {what}: {first}; {AGAIN}") from error
