"""What several test files share."""

import pytest

TOY_CLIPS = {"train": 4, "val": 2, "test": 5, "compositional": 2, "twins": 2}


@pytest.fixture(scope="session")
def toy_a2d_root(tmp_path_factory):
    """A small toy world (seed 1, 64 x 96) in A2D's layout: read it, never write to it."""
    pytest.importorskip("h5py")
    from dtse_core.data.toy_files import write_a2d

    root = tmp_path_factory.mktemp("toy") / "a2d"
    write_a2d(root, TOY_CLIPS, seed=1, height=64, width=96)
    return root
