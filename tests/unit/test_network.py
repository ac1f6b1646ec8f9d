"""Nothing connects to another machine: not the package when it is imported, not the tests."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = """
import importlib, pkgutil, sys

def hook(event, arguments):
    if event.startswith("socket.") and event.partition(".")[2] in ("connect", "sendto", "getaddrinfo", "gethostbyname"):
        told.append((event, arguments[1:] if event == "socket.connect" else arguments))

told = []
sys.addaudithook(hook)
import dtse_core
names = [m.name for m in pkgutil.walk_packages(dtse_core.__path__, "dtse_core.") if "starter" not in m.name]
for name in names:
    importlib.import_module(name)
print(len(names), told)
import socket
socket.getaddrinfo("127.0.0.1", 80)
print(len(told))
"""


def test_importing_every_module_asks_the_network_for_nothing():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    first, after = done.stdout.splitlines()
    count, told = first.split(" ", 1)
    assert int(count) > 80 and told == "[]" and after == "1"  # the hook sees a question, where there is one


def test_a_test_that_asks_for_another_machine_fails():
    there = ("192.0.2.1", 9)  # an address for examples in texts, which no machine has
    with socket.socket() as sender, pytest.raises(RuntimeError, match="connect asks for 192.0.2.1; tests stay on 127"):
        sender.connect(there)
    with pytest.raises(RuntimeError, match=r"socket.getaddrinfo asks for example\.org"):
        socket.getaddrinfo("example.org", 443)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, pytest.raises(RuntimeError, match="sendto"):
        sender.sendto(b"", there)


def test_a_server_on_this_machine_can_be_asked():
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=5).close()
