"""Every command that the texts give is taken by the command's own parser, and README's first steps run as pasted."""

import argparse
import ast
import importlib
import io
import json
import os
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dtse_core.__main__
from dtse_core import predict
from dtse_core.config import RunConfig, from_dict, preset, setting_kinds, to_dict
from dtse_core.data.toy.world import ToyWorld, render
from dtse_core.shared.console import argument, one_line_errors
from dtse_core.training import cost
from dtse_core.video.files import EXAMPLE, read_frames, video_info

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = {  # module: where `parse_command` is
    name: name
    for name in (
        "dtse_core.train",
        "dtse_core.evaluate",
        "dtse_core.predict",
        "dtse_core.training.cost",
        "dtse_core.scoring.calibration",
        "dtse_core.experiments.runner",
        "dtse_core.experiments.diagnosis",
    )
} | {
    "dtse_core.experiments": "dtse_core.experiments.__main__",
    "data_scripts/make_toy_world.py": "dtse_core.data.toy.__main__",
    "data_scripts/prepare.py": "dtse_core.data.prepare.__main__",
}
WORDS = {f"dtse {name}": f"dtse_core.{module}" for name, (module, _) in dtse_core.__main__.COMMANDS.items()}
STANDS_FOR = {
    "N": "2",
    "GRID": "smoke.toml",
    "RUN_OR_NAME": "tiny",
    "NAME": "train_step",
    "{c.dataset}": "a2d",
    "{command.dataset}": "a2d",
    "{name}": "a2d",
    "{layout}": "a2d",
}
START = r"(?:[\w./]*python[\d.]*\s+(?:-m\s+(?:dtse_core|figures)|\w+/\w+\.py)|accelerate launch|torchrun)\b"
START = rf"(?:{START}|dtse (?:{'|'.join(dtse_core.__main__.COMMANDS)})\b)"


def pieces(path: Path) -> Iterator[str]:
    """The texts of a file: cells of a notebook, strings of a module with {expressions} left in them, or all of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        yield from ("".join(cell["source"]) for cell in json.loads(text)["cells"])
    elif path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else f"{{{ast.unparse(v.value)}}}" for v in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    else:
        yield text


def commands_in(path: Path) -> Iterator[str]:
    """Lines and code spans that begin as a command does, without their comments."""
    for text in pieces(path):
        text = re.sub(r" *\\\n\s*", " ", text)
        lines = re.findall(rf"^(?:    |\$ )?((?:[A-Z_]+=\S+ )*(?:srun )?{START}.*?)(?:  .*)?$", text, re.MULTILINE)
        make = re.findall(r"^(make [^#\n]+?)(?:  +#.*)?$", "\n".join(code_blocks(text, r"\w*")), re.MULTILINE)
        spans = re.findall(rf"(?<!`)`({START}[^`]*|make [^`]*)`(?!`)", text)
        yield from (line for line in [*lines, *make, *spans] if "`" not in line)


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def texts() -> list[Path]:
    found = [p for p in ROOT.rglob("*.md") if not p.is_symlink()]
    found += (
        p for f in ("dtse_core", "data_scripts", "tools", "benchmarks", "figures") for p in (ROOT / f).rglob("*.py")
    )
    found += (ROOT / "notebooks").glob("*.ipynb")
    skipped = {"runs", "build", "node_modules"}
    return sorted(p for p in found if not any(q.startswith(".") or q in skipped for q in p.relative_to(ROOT).parts))


FOUND = sorted({(command, str(path.relative_to(ROOT))) for path in texts() for command in commands_in(path)})


class Parsed(Exception):
    """A command's own parser has taken the command line."""


def parse(command: str, monkeypatch) -> None:
    """Gives a command line to the real parsers, and raises what they do."""
    words = [word for word in shlex.split(re.sub(r"[\[\]]|\.\.\.", " ", command)) if not re.match(r"[A-Z_]+=", word)]
    words = [STANDS_FOR.get(word, word) for word in words if word != "srun"]
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets, command
        return
    if words[0] in ("accelerate", "torchrun"):
        from accelerate.commands.launch import launch_command_parser
        from torch.distributed.run import get_args_parser

        own = words[2:] if words[0] == "accelerate" else words[1:]
        own += [] if "-m" in own else ["-m", "dtse_core.train"]  # a start is put before any of them
        launcher = (launch_command_parser if words[0] == "accelerate" else get_args_parser)()
        options = launcher.parse_args(own)
        assert options.module
        words = ["python", "-m", options.training_script, *options.training_script_args]
    if words[0] == "dtse":
        words = ["python", "-m", " ".join(words[:2]), *words[2:]]
    name, *arguments = words[2:] if words[1] == "-m" else words[1:]
    if name.endswith(("evaluate", "calibration")) and "--checkpoint" in arguments:  # whose settings are the defaults
        arguments[arguments.index("--checkpoint") + 1] = "tiny"
    if name in COMMANDS | WORDS:
        module = importlib.import_module((COMMANDS | WORDS)[name])
        if arguments:  # else the program's name
            module.parse_command(arguments)
        return
    source = ROOT / (name if "/" in name else name.replace(".", "/") + ".py")
    assert source.is_file(), f"there is no {name}"
    if "argparse" not in source.read_text(encoding="utf-8"):
        assert all(flag in source.read_text(encoding="utf-8") for flag in arguments if flag.startswith("--"))
        return
    real = argparse.ArgumentParser.parse_args

    def stop(parser, *_):
        raise Parsed(real(parser, arguments))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.syspath_prepend(str(ROOT / source.parent))
    with pytest.raises(Parsed):
        importlib.import_module(str(source.relative_to(ROOT).with_suffix("")).replace("/", ".")).main()


@pytest.mark.parametrize(("command", "where"), FOUND, ids=lambda text: text[:60])
def test_a_command_in_a_text_is_taken_by_its_own_parser(command, where, monkeypatch):
    try:
        parse(command, monkeypatch)
    except SystemExit as end:
        assert not end.code, f"{where}: {command}"  # --help ends with 0


def test_commands_are_found_in_every_kind_of_text():
    assert len(FOUND) > 60
    for kind in (
        "README.md",
        "docs/quickstart.md",
        "docs/training.md",
        "CONTRIBUTING.md",
        "notebooks/12",
        "dtse_core/data/prepare/__main__.py",
    ):
        assert any(where.startswith(kind) for _, where in FOUND), kind


@pytest.mark.parametrize(
    "command",
    [
        "python -m dtse_core.train --train.stepz 5",
        "python -m dtse_core.train --train.steps",
        "python -m dtse_core.experiments walk GRID",
        "python data_scripts/prepare.py imagenet --root DIR",
        "dtse prepare imagenet --root DIR",
        "accelerate launch --num_process_es 8 -m dtse_core.train",
        "torchrun --nproc 2 -m dtse_core.train --train.steps x",
        "python -m dtse_core.teach --preset tiny",
        "python benchmarks/bench.py walking",
        "make tutorials",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(command, monkeypatch, capsys):
    with pytest.raises((SystemExit, ValueError, AssertionError)) as end:
        parse(command, monkeypatch)
    assert end.type is not SystemExit or end.value.code


def settings_in_texts() -> list[str]:
    spans = {
        s
        for p in texts()
        if p.suffix in (".md", ".ipynb")
        for text in pieces(p)
        for s in re.findall(r"`([^`\n]+)`", text)
    }
    return sorted(s for s in spans if re.match(r"(tiny |colab |paper )?--(train|data|model|preset)\b", s))


@pytest.mark.parametrize("span", settings_in_texts())
def test_a_setting_in_a_text_exists_and_takes_the_value(span):
    name, *words = shlex.split(span if span.startswith("--") else f"--preset {span}")
    if words:
        command = "dtse_core.evaluate" if "--split" in words else "dtse_core.train"
        importlib.import_module(command).parse_command([name, *words])
    else:
        known = setting_kinds(RunConfig)
        assert any(k == name[2:] or k.startswith(f"{name[2:]}.") for k in known), span


TAKEN = [  # the command line, and the settings of Python that it stands for
    ("--train.checkpoint_streams True", {"train.checkpoint_streams": True}),
    ("--train.checkpoint_streams false", {"train.checkpoint_streams": False}),
    ("--train.checkpoint-streams", {"train.checkpoint_streams": True}),
    ("--train.checkpoint_streams=True --train.no-checkpoint-streams", {"train.checkpoint_streams": False}),
    ("--model.no-lmdf-language --model.causal", {"model.lmdf_language": False, "model.causal": True}),
    ("--data.size 64 128", {"data.size": (64, 128)}),
    ("--data.size 64,128", {"data.size": (64, 128)}),
    ("--data.size '(64, 128)'", {"data.size": (64, 128)}),
    ("--model.vlmg_stages=4", {"model.vlmg_stages": (4,)}),
    ("--model.vlmg-stages --train.lr 1", {"model.vlmg_stages": (), "train.lr": 1.0}),
    ("--train.freeze encoder.text,encoder.visual", {"train.freeze": ("encoder.text", "encoder.visual")}),
    ("--model.gate_init -0.5 --train.minutes=1e1", {"model.gate_init": -0.5, "train.minutes": 10.0}),
    ("--data.root=--odd --data.cache 'a b=c'", {"data.root": "--odd", "data.cache": "a b=c"}),
    ("--model.lmdf=off --out x", {"model.lmdf": "off", "out": "x"}),
]


@pytest.mark.parametrize(("line", "settings"), TAKEN, ids=[line for line, _ in TAKEN])
def test_a_setting_takes_on_the_command_line_what_it_takes_in_python(line, settings):
    parsed = cost.parse_command(shlex.split(line))
    assert from_dict(to_dict(parsed)) == preset("tiny", **settings)


def test_an_option_is_read_before_the_command_line_is_parsed():
    for line, text in (("", ""), ("--x", ""), ("--x 2", "2"), ("--x 2 --x=3", "3"), ("--y --x --y", "--y")):
        assert argument(line.split(), "--x") == text


def test_the_preset_gives_the_defaults_wherever_it_stands():
    for line in ("--preset paper --model.pretrained False", "--model.pretrained=false --preset=paper"):
        assert from_dict(to_dict(cost.parse_command(line.split()))) == preset("paper", **{"model.pretrained": False})


def test_of_a_preset_named_twice_the_last_one_gives_name_and_defaults():
    for line in ("--preset tiny --preset colab", "--preset=paper --train.lr 1 --preset=colab --train.lr 1e-4"):
        assert from_dict(to_dict(cost.parse_command(line.split()))) == preset("colab")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--train.lr fast", "train.lr is 'fast'; it must be a finite number"),
        ("--train.lr -1", "train.lr is -1.0; it must be 0 or more"),
        ("--train.steps 1e3", "train.steps is '1e3'; it must be a whole number"),
        ("--train.batch=0", "train.batch is 0; it must be 1 to 65536"),
        ("--data.size 64", "data.size is (64,); it must be a tuple of 2 items"),
        ("--data.size 64x96 1", "data.size is ('64x96', 1); it must be a tuple, each item a whole number"),
        ("--train.checkpoint_streams=yes", "train.checkpoint_streams is 'yes'; it must be True or False"),
        ("--model.lmdf of", "model.lmdf is 'of'; it must be one of off, static, current_only, full"),
        ("--preset papr", "unknown preset 'papr' (did you mean 'paper'?); known: tiny, colab, paper, modern"),
        ("--processes 0", "processes is 0; it must be 1 or more"),
        ("--memory_gb -1", "memory_gb is -1.0; it must be above 0"),
    ],
)
def test_a_bad_value_on_the_command_line_is_one_line(line, words, capsys):
    with pytest.raises(SystemExit) as end:
        one_line_errors(lambda: cost.parse_command(line.split()))()
    assert end.value.code == 1 and capsys.readouterr() == ("", f"error: {words}\n")


@pytest.mark.parametrize(
    ("command", "line", "words"),
    [
        ("dtse_core.evaluate", "--batch 0", "batch is 0; it must be 1 to 65536"),
        ("dtse_core.evaluate", "--data.workers -1", "data.workers is -1; it must be 0 to 1024"),
        ("dtse_core.predict", "clip.mp4 dog --precision half", "it must be one of fp32, fp16, bf16"),
        ("dtse_core.predict", "clip.mp4", "no expression given"),
        ("data_scripts/make_toy_world.py", "--out x --train -1", "train is -1; it must be 0 or more"),
        ("data_scripts/make_toy_world.py", "--out x --workers -1", "workers is -1; it must be 0 to 1024"),
        ("data_scripts/prepare.py", "a2d --root x --workers -1", "workers is -1; it must be 0 to 1024"),
        ("data_scripts/prepare.py", "a2d --root x --check=maybe", "check is 'maybe'; it must be True or False"),
    ],
)
def test_every_command_checks_its_values(command, line, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        importlib.import_module(COMMANDS[command]).parse_command(line.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_the_settings(command, capsys):
    with pytest.raises(SystemExit) as end:
        importlib.import_module(COMMANDS[command]).parse_command(["--help"])
    shown = " ".join(re.sub("[│─]", " ", capsys.readouterr().out).split())
    name = {module: words for words, module in WORDS.items()}[COMMANDS[command]] if "/" in command else command
    assert end.value.code == 0 and f"usage: {'' if '/' in command else 'python -m '}{name}" in shown
    if command == "dtse_core.train":
        assert "--train.batch INT clips a step, over all processes (default: 16)" in shown
    if command == "dtse_core.predict":
        assert "each in quotes (required) options" in shown


def helped(command: str, columns: int, monkeypatch) -> str:
    """The help on a terminal of so many columns."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(SystemExit):
        one_line_errors(lambda: importlib.import_module(COMMANDS[command]).parse_command(["--help"]))()
    assert os.environ["COLUMNS"] == str(columns)
    return sys.stdout.getvalue()


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("data_scripts/make_toy_world.py", "--layout STR"),
        ("dtse_core.experiments", "COMMAND"),
        ("dtse_core.experiments.diagnosis", "--out OUT"),
    ],
)
def test_help_on_a_terminal_is_plain_text_that_fits(command, option, monkeypatch):
    shown = helped(command, 60, monkeypatch)
    assert option in shown and "x1b" not in shown and "\n\n\n" not in shown
    assert max(len(line) for line in shown.splitlines() if not line.startswith("    python")) <= 60
    assert shown == helped(command, 5, monkeypatch), "fewer columns hold no comments"


def test_an_error_keeps_its_words_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    with pytest.raises(ValueError, match="x" * 200):
        importlib.import_module(COMMANDS["data_scripts/prepare.py"]).parse_command(["a2d", "x" * 200, "--root=x"])


def test_help_names_the_script_that_was_started(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path("data_scripts/make_toy_world.py", run_name="__main__")
    assert capsys.readouterr().out.startswith("usage: python data_scripts/make_toy_world.py [-h] ")


def test_a_flag_leaves_what_follows_alone():
    prepare = importlib.import_module(COMMANDS["data_scripts/prepare.py"])
    for line in ("--check a2d --root x", "a2d --root x --check True", "a2d --check --root x"):
        command = prepare.parse_command(line.split())
        assert (command.dataset, command.root, command.check) == ("a2d", Path("x"), True)


@pytest.mark.parametrize(("most", "recomputed"), [(1, True), (2, False), (4, True)])
def test_the_advice_of_cost_is_taken_by_train(most, recomputed, monkeypatch):
    """Where so many clips fit at once, with the streams computed again or as they are."""

    class Cost:
        def __init__(self, config, *_):
            c = config.train
            self.fits = c.batch // c.accumulate <= most and (c.checkpoint_streams or not recomputed)

        def needed(self, gpu):
            return 0 if self.fits else 1e12

    monkeypatch.setattr(cost, "count_cost", Cost)
    told = cost.advice(cost.parse_command(["--train.batch", "4"]))
    options = told[told.index("--") :].split()
    assert Cost(importlib.import_module("dtse_core.train").parse_command(["--train.batch", "4", *options])).fits


@pytest.fixture(scope="module")
def scene():
    """The scene that the shipped clip shows: colors (T, H, W, 3), ids (T, H, W), and an instance for each sentence."""
    world = ToyWorld("twins", 1104, height=96, width=144)
    drawn = world.scene(1103)
    frames, ids = render(drawn, range(drawn.length), 96, 144)
    return frames, ids, {sentence.text: sentence.instance for sentence in drawn.sentences}


def test_the_clip_that_ships_is_small_and_shows_its_scene(scene):
    info = video_info("example")
    assert (info.length, info.fps, info.height, info.width) == (25, 12, 96, 144) and EXAMPLE.stat().st_size < 40_000
    difference = np.abs(read_frames("example", range(25)).astype(int) - scene[0])
    assert difference.mean() < 4, "compressed, and the same pictures"


def test_a_video_of_ones_own_goes_before_the_clip_that_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "example" / "0.png")
    assert video_info("example").length == 1


def test_readmes_python_runs_as_pasted_in_an_empty_folder_and_its_mask_is_right(tmp_path, monkeypatch, scene):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in code_blocks(README, "python"):
        exec(block, names)
    [picture] = tmp_path.iterdir()
    assert Image.open(picture).n_frames == 25
    result, (_, ids, instances) = names["result"], scene
    truth = ids == instances[result.expression]
    union = (result.masks | truth).sum((1, 2))
    assert ((result.masks & truth).sum((1, 2)) / union).min() > 0.75


def test_readmes_first_command_runs_as_pasted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = next(b for b in code_blocks(README, "bash") if "dtse_core.predict" in b).splitlines()[0]
    arguments = re.findall(r'"[^"]*"|\S+', line)
    monkeypatch.setattr(sys, "argv", [a.strip('"') for a in arguments[2:]])
    predict.main()
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"] and video_info(tmp_path / "out.mp4").length == 25
    assert "the dog walking towards the left" in capsys.readouterr().out


def dtse(*arguments: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dtse", *arguments])
    dtse_core.__main__.main()


def test_each_word_of_dtse_is_the_command_that_python_m_starts(monkeypatch, capsys):
    for words, module in WORDS.items():
        name = words.removeprefix("dtse ")
        monkeypatch.setattr(importlib.import_module(module), "main", lambda: print("called with", sys.argv))
        dtse(name, "--x", "1", monkeypatch=monkeypatch)
        assert capsys.readouterr().out == f"called with {[words, '--x', '1']}\n"
        assert {module, module.removesuffix(".__main__")} & {*COMMANDS, *COMMANDS.values()}


@pytest.mark.parametrize("name", dtse_core.__main__.COMMANDS)
def test_help_names_the_words_that_were_typed(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        dtse(name, "--help", monkeypatch=monkeypatch)
    assert not end.value.code and capsys.readouterr().out.startswith(f"usage: dtse {name} ")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_dtse_lists_its_commands(arguments, monkeypatch, capsys):
    dtse(*arguments, monkeypatch=monkeypatch)
    rows = capsys.readouterr().out.splitlines()[2:-2]
    assert [row.split()[0] for row in rows] == list(dtse_core.__main__.COMMANDS)


def test_dtse_says_its_version_and_names_the_nearest_command(monkeypatch, capsys):
    dtse("--version", monkeypatch=monkeypatch)
    assert capsys.readouterr().out == f"dtse {dtse_core.__version__}\n"
    with pytest.raises(SystemExit, match="1"):
        dtse("predit", monkeypatch=monkeypatch)
    assert re.search("no command 'predit' .did you mean 'predict'.*dtse --help", capsys.readouterr().err)
