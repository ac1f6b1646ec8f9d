"""Notebook 13 on small roots in each genuine layout, cut at any moment, and with all that can go wrong around it."""

import contextlib
import io
import json
import multiprocessing
import random
import shutil
import signal
import sys
import time
import types
import zipfile
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertModel, BertTokenizerFast, ConvNextV2Config, ConvNextV2Model, ResNetConfig, ResNetModel

from dtse_core import preset
from dtse_core.checkpoints.find import model_sha256
from dtse_core.config import DATASETS, override
from dtse_core.data.toy.layouts.write import write_toy
from dtse_core.experiments.runner import run_notebook
from dtse_core.notebook import footage
from dtse_core.streams import ARCHITECTURES
from dtse_core.train import train
from dtse_core.training.cost import Cost
from dtse_core.training.run_folder import checkpoints
from tests.notebooks.test_colab_branch import put_into_cache
from tests.unit.test_obtain import local, server  # noqa: F401

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks/13_real_footage.ipynb"
PEOPLE = {"train": 4, "val": 1, "test": 1}
SMALL = "data.size=64,96 data.workers=0 train.batch=2 train.eval_samples=4 model.vlmg_width=64"
SMALL += " model.lmdf_width=32 model.filtered_width=32 model.widths=32,48,64"
ZYGOTE = multiprocessing.get_context("forkserver")  # imports everything once
ZYGOTE.set_forkserver_preload(["dtse_core.train", "dtse_core.notebook.watch", "dtse_core.data.toy.layouts.write"])


def cells(first: str = "", last: str = "") -> list[str]:
    """Sources of the code cells, from the one that holds `first` to the one that holds `last`."""
    found = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in found if c["cell_type"] == "code"]
    sources = [s for s in sources if "%pip" not in s]
    begin = next(k for k, s in enumerate(sources) if first in s)
    end = next(k for k, s in enumerate(sources) if last in s) if last else len(sources) - 1
    return sources[begin : end + 1]


def run(last: str, **parameters) -> dict:
    """Executes the notebook's code in this process up to a cell, with some parameters; what it defined."""
    names: dict = {}
    for source in cells("PROFILE =", last):
        exec(compile(source, source.splitlines()[0], "exec"), names)
        if source.startswith("PROFILE ="):
            assert set(parameters) <= set(names)
            names |= parameters
        plt.close("all")
    return names


@pytest.fixture(scope="module")
def hub(tmp_path_factory, minilm) -> Path:
    """The hub's cache under the names that the presets ask for: a pretrained MiniLM, and small visual networks."""
    cache = tmp_path_factory.mktemp("cache")
    torch.manual_seed(0)
    put_into_cache(cache, "microsoft/resnet-50", ResNetModel(ResNetConfig(**ARCHITECTURES["tiny-resnet"])))
    small = ConvNextV2Config(hidden_sizes=[32, 48, 64, 96], depths=[1, 1, 2, 1])
    put_into_cache(cache, "facebook/convnextv2-tiny-22k-384", ConvNextV2Model(small))
    text = BertModel.from_pretrained(minilm, add_pooling_layer=False), BertTokenizerFast.from_pretrained(minilm)
    for name in ("bert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2"):
        put_into_cache(cache, name, *text)
    return cache


@pytest.mark.slow
@pytest.mark.parametrize(("data", "name"), [("ref_davis", "colab"), ("mevis", "modern")])
def test_pretrained_streams_of_either_preset_learn(tmp_path, monkeypatch, hub, data, name):
    write_toy(tmp_path / "root", PEOPLE, data, seed=1, height=64, width=96, traps=["all"])
    monkeypatch.setenv("HF_HOME", str(hub))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = {"PROFILE": "colab", "DEVICE": "cpu", "DATA": data, "DATA_ROOT": str(tmp_path / "root")}
    asked |= {"HOURS": 1e-6, "PRESET": f"{name} {SMALL}", "KEEP": str(tmp_path / "keep")}
    result = run_notebook(NOTEBOOK, tmp_path / "out", asked)
    assert result.ok, result.error
    executed = json.loads((tmp_path / "out/13_real_footage.ipynb").read_text("utf-8"))["cells"]
    counts = [c["execution_count"] for c in executed if c["cell_type"] == "code"]
    assert counts == [*range(1, len(counts) + 1)]  # nothing is skipped
    run, streams = tmp_path / f"keep/run_{data}", preset(name).model
    config = json.loads((run / "run.json").read_text("utf-8"))
    assert [config["train.steps"], config["preset"], config["model.visual"], config["model.text"]] == [
        footage.TRIAL, name, streams.visual, streams.text]  # fmt: skip
    weights = load_file(run / "final/model.safetensors")
    for stream, kind in ((streams.visual, "visual"), (streams.text, "text")):
        (file,) = hub.glob(f"hub/models--{stream.replace('/', '--')}/snapshots/*/model.safetensors")
        known = load_file(file)
        learned = {n.split(".", 3)[-1]: w for n, w in weights.items() if n.startswith(f"encoder.{kind}.")}
        moved = max((w - known[n]).abs().max() for n, w in learned.items())
        assert 0 < moved < 1e-3, f"the {kind} stream begins with the weights of {stream}, and takes a few small steps"
    scores = json.loads((tmp_path / f"keep/scores_{data}.json").read_text("utf-8"))
    assert scores["split"] == "test" and scores["config"]["data.name"] == data and scores["metrics"]
    told = json.loads((tmp_path / "keep/own_clip/prediction.json").read_text("utf-8"))
    assert scores["model_sha256"] == told["model_sha256"] == model_sha256(run / "best"), "the best of the validations"
    assert (tmp_path / "keep/own_clip/overlay.mp4").is_file()


def test_weights_are_scored_that_the_scored_part_has_not_chosen(tmp_path):
    for data in DATASETS:
        if data not in ("toy", "jhmdb"):  # the one is drawn, the other has no part to learn from
            root = {"data.name": data, "data.root": str(tmp_path), "out": "run"}
            chosen = footage.to_score(override(preset("colab"), root))
            assert chosen == Path("run/final" if data == "refer_youtube_vos" else "run/best"), data
    (tmp_path / "toy_world.json").touch()  # a drawn one has a part for each
    assert footage.to_score(override(preset("colab"), root | {"data.name": "refer_youtube_vos"})) == Path("run/best")


@pytest.mark.parametrize("data", ["own", "a2d", "mevis", "refer_youtube_vos"])
def test_every_layout_takes_the_same_road(tmp_path, monkeypatch, data):
    monkeypatch.setattr(footage, "count_cost", cheap)
    monkeypatch.setattr(footage, "pace", lambda *_: 1.0)
    names = run("comparison_table", DATA=data, KEEP=str(tmp_path))
    assert names["result"]["split"] == "test" and names["chosen"] == tmp_path / f"run_{data}/best"
    assert names["result"]["config"]["data.name"] == data and names["result"]["metrics"]


def test_settings_after_the_preset_reach_the_clips(tmp_path):
    names = run("training_splits", PRESET="tiny data.offset=1 data.size=64,96", KEEP=str(tmp_path))
    assert names["config"].data.frame_offset == names["training"].offset == 1


def session(keep: Path, every: int) -> None:
    """What a visitor does in each session: all cells to the end of the training, with a checkpoint so often."""
    footage.count_cost, plan = cheap, footage.planned
    footage.planned = lambda *given: override(plan(*given), {"train.checkpoint_every": every})
    with contextlib.redirect_stdout(io.StringIO()):
        run("final = train(", KEEP=str(keep))


@pytest.mark.slow
def test_sessions_that_die_at_five_moments_end_with_the_weights_of_one(tmp_path):
    keep, rng, reached = tmp_path / "keep", random.Random(0), 0
    out = keep / "run_ref_davis"
    for _ in range(5):
        process = ZYGOTE.Process(target=session, args=(keep, 1))
        process.start()
        while not (saved := checkpoints(out)) or int(saved[-1].name[5:]) <= reached:
            assert process.is_alive(), "the session ended before it could be killed"
            time.sleep(0.01)
        time.sleep(rng.random() * 0.1)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the session ended before it could be killed"
        reached = int(checkpoints(out)[-1].name[5:])
    process = ZYGOTE.Process(target=session, args=(keep, 1))
    process.start()
    process.join()
    assert process.exitcode == 0
    whole = train(override(footage.begun(out), {"out": str(tmp_path / "whole")}), False)
    for kept in ("final", "best"):
        one, many = (load_file(run / kept / "model.safetensors") for run in (whole.parent, out))
        assert one.keys() == many.keys() and all(torch.equal(one[name], many[name]) for name in one), kept


@pytest.fixture
def archives(local, tmp_path) -> Path:  # noqa: F811
    """Ref-DAVIS17's archives on the local server, packed from a toy root, which is returned."""
    pytest.importorskip("pooch")
    root = tmp_path / "origin"
    write_toy(root, PEOPLE, "ref_davis", seed=1, height=64, width=96)
    parts = {
        "DAVIS-2017-Unsupervised-trainval-480p.zip": lambda p: p.parts[0] == "DAVIS" and p.suffix != ".json",
        "DAVIS-2017_semantics-480p.zip": lambda p: p.name == "davis_semantics.json",
        "davis_text_annotations.zip": lambda p: p.parts[0] == "davis_text_annotations",
    }
    files = [p.relative_to(root) for p in sorted(root.rglob("*")) if p.is_file()]
    for name, belongs in parts.items():
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            for path in filter(belongs, files):
                packed.write(root / path, path.as_posix())
        local.files[name] = (tmp_path / name).read_bytes()
    return root


def test_a_download_that_broke_off_goes_on_and_none_comes_twice(tmp_path, local, archives, capsys):  # noqa: F811
    asked = {"PROFILE": "colab", "DEVICE": "cpu", "KEEP": str(tmp_path / "keep")}
    local.cut = len(local.files["DAVIS-2017-Unsupervised-trainval-480p.zip"]) // 2
    with pytest.raises(FileNotFoundError, match=r"still to come: DAVIS-2017-Unsupervised.*downloads is the place;"):
        run("obtain(DATA", **asked)
    assert "broke off after" in capsys.readouterr().out
    run("obtain(DATA", **asked)
    assert sum(asked.startswith("bytes=") for asked in local.asked) == 1
    fetched = tmp_path / "keep/data/ref_davis"
    for path in (p for p in archives.rglob("*") if p.is_file() and p.name != "toy_world.json"):
        assert (fetched / path.relative_to(archives)).read_bytes() == path.read_bytes()
    shutil.rmtree(fetched)  # as a machine of Colab goes, and the Drive stays
    before = len(local.asked)
    run("obtain(DATA", **asked)
    assert len(local.asked) == before and (fetched / "DAVIS/davis_semantics.json").is_file()


def test_what_has_to_be_fetched_by_hand_is_told_line_by_line(tmp_path, local, capsys):  # noqa: F811
    with pytest.raises(FileNotFoundError, match=r"still to come: train.zip, valid_u.zip, valid.zip; the lines above"):
        run("obtain(DATA", PROFILE="colab", DEVICE="cpu", DATA="mevis", KEEP=str(tmp_path / "keep"))
    assert capsys.readouterr().out.count("[by hand]") == 3


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """A `google.colab` whose Drive appears in `tmp_path` when it is mounted."""
    drive = types.ModuleType("google.colab.drive")
    drive.mounted = []

    def mount(place):
        drive.mounted.append(place)
        (Path(place) / "MyDrive").mkdir(parents=True)

    drive.mount = mount
    for name, module in (("google", types.ModuleType("google")), ("google.colab", types.ModuleType("google.colab"))):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    monkeypatch.setattr(footage, "DRIVE", tmp_path / "drive")
    return drive


def test_hours_on_a_cpu_are_taken_only_if_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"^no GPU here: on Colab choose one .* DEVICE = \"cpu\" trains all the same"):
        run("keep_in", PROFILE="colab", KEEP=str(tmp_path / "keep"))
    assert not (tmp_path / "keep").exists()
    run("keep_in", PROFILE="colab", KEEP=str(tmp_path / "keep"), DEVICE="cpu")


def test_a_drive_is_mounted_where_it_is_asked_for(colab, tmp_path):
    assert footage.keep_in(tmp_path / "drive/MyDrive/dtse").is_dir() and colab.mounted == [str(tmp_path / "drive")]
    assert footage.keep_in(tmp_path / "elsewhere").is_dir() and len(colab.mounted) == 1


def test_a_drive_that_is_refused_and_a_folder_that_cannot_be_are_told_in_a_line(colab, tmp_path):
    def refuse(_):
        raise ValueError("mount failed\nsee above")

    colab.mount = refuse
    with pytest.raises(OSError, match=r"^Google Drive was not mounted \(mount failed\): run the cell again and"):
        footage.keep_in(tmp_path / "drive/MyDrive/dtse")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^nothing can be written to .*file/dtse .*; set KEEP to another folder$"):
        footage.keep_in(tmp_path / "file/dtse")


def card(monkeypatch, gigabytes: float) -> None:
    """As if this machine had a GPU of so much memory."""
    properties = types.SimpleNamespace(name="GPU 1", total_memory=int(gigabytes * 1e9))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)


def cheap(config, processes=1, gpu=False) -> Cost:
    """A cost that needs no counting: 1 GB for the model and for each clip at once."""
    clips = config.train.batch // config.train.accumulate
    return Cost(10**6, 10**6, 10**6, 0, 0, 0, (1 + clips) * 10**9, 0, Counter())


def test_a_batch_is_split_until_it_fits_and_a_gpu_too_small_is_named(monkeypatch):
    monkeypatch.setattr("dtse_core.training.cost.count_cost", cheap)
    monkeypatch.setattr(footage, "count_cost", cheap)
    config, gpu = preset("colab"), torch.device("cuda")  # 8 clips, and 2 GB that a GPU takes for itself
    for gigabytes, parts in ((11.5, 1), (8, 2), (5, 4), (4, 8)):
        card(monkeypatch, gigabytes)
        fitted, cost = footage.fit(config, gpu)
        assert fitted.train.accumulate == parts and cost.needed(gpu=True) <= 1e9 * gigabytes
    with pytest.raises(ValueError, match=r"^GPU 1 has 3.0 GB, too little for preset colab at 256 x 256: add data.size"):
        card(monkeypatch, 3)
        footage.fit(config, gpu)


def test_a_disk_without_room_is_told_before_the_work_and_counts_what_is_there(tmp_path, monkeypatch):
    disk = shutil.disk_usage(tmp_path)._replace(free=int(4.5e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    cost = types.SimpleNamespace(weights=0.6e9, optimizer=1.2e9)  # (1 + 1) * 1.8 + 1.2 GB
    with pytest.raises(OSError, match=r"has 4.5 GB free, the run needs 4.8 GB: make room .* KEEP to another folder$"):
        footage.require_room(tmp_path / "run", cost, 1)
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run/model", "wb") as file:
        file.truncate(int(0.4e9))  # a hole, which takes no room
    assert footage.require_room(tmp_path / "run", cost, 1).startswith("4.8 GB of disk")


def test_hours_become_steps_with_a_checkpoint_every_ten_minutes():
    plan = footage.planned(preset("colab"), 3.0, 0.5).train
    assert (plan.steps, plan.epochs, plan.checkpoint_every, plan.eval_every) == (21_600, 0.0, 1200, 2160)
    plan = footage.planned(preset("colab"), 0.0, 0.5).train
    assert (plan.steps, plan.checkpoint_every, plan.log_every) == (footage.TRIAL, 5, 1)


def test_memory_that_does_not_last_is_told_with_what_helps(monkeypatch, tmp_path):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(footage, "train", full)
    with pytest.raises(ValueError, match=r"^the GPU's memory does not last for parts of 4 clips: add train.accum"):
        footage.pace(preset("colab", **{"train.accumulate": 2}), tmp_path)


def test_publishing_reaches_the_hub_with_the_whole_model_and_a_refusal_says_what_to_do(server, tmp_path, monkeypatch):  # noqa: F811
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", server.url("")[:-1])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    asked, sent = [], {}

    def answer(handler):
        said = handler.rfile.read(int(handler.headers["Content-Length"]))
        asked.append(handler.path)
        if handler.headers.get("Authorization") != "Bearer right":
            return handler.send_error(401)
        found = {"url": server.url("me/model")}
        if "preupload" in handler.path:
            files = [f["path"] for f in json.loads(said)["files"]]
            found = {"files": [{"path": f, "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        elif "commit" in handler.path:
            lines = [json.loads(line) for line in said.splitlines()]
            sent.update({line["value"]["path"]: line["value"] for line in lines if line["key"] == "file"})
            found = {"commitOid": "0" * 40, "commitUrl": server.url("me/model/commit/0"), "hookOutput": ""}
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        return handler.wfile.write(json.dumps(found).encode())

    monkeypatch.setattr(server.RequestHandlerClass, "do_POST", answer, raising=False)
    folder = tmp_path / "final"
    shutil.copytree(Path(footage.__file__).parents[1] / "checkpoints/tiny", folder)
    (folder / "README.md").write_text("# card\n", encoding="utf-8")
    (folder / ".dtse.json").touch()
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(OSError, match=r"^'me/model' was not published \(.*401.*\): log in with huggingface_hub.login"):
        footage.publish(folder, "me/model")
    monkeypatch.setenv("HF_TOKEN", "right")
    assert footage.publish(folder, "me/model") == server.url("me/model")
    assert set(sent) == {*footage.FILES, "README.md"}
