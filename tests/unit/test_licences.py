"""docs/licences.md: every package of the runtime lock, under the licence that its metadata name."""

import importlib.metadata
import re
from contextlib import suppress
from email.message import Message

import pytest

from tools import licences

PAGE = licences.PAGE.read_text(encoding="utf-8")


def test_every_package_of_the_lock_is_in_the_table_once():
    rows = re.findall(r"(?m)^\| (.+) \| (.+) \|$", PAGE)[1:]
    listed = [name for _, names in rows for name in names.split(", ")]
    assert sorted(listed) == sorted(licences.locked()) and len(listed) > 100


def test_the_table_says_what_the_installed_packages_say():
    for kind, names in re.findall(r"(?m)^\| (.+) \| (.+) \|$", PAGE)[1:]:
        for name in names.split(", ") if "other systems" not in kind else []:
            with suppress(importlib.metadata.PackageNotFoundError):  # this system has no need of it
                assert licences.licence(name) == kind, name
    assert "| BSD-3-Clause | av, " in PAGE and "GPL-2.0-or-later" in PAGE


@pytest.mark.parametrize("said", [{"License-Expression": "AGPL-3.0-only"}, {"License": "proprietary"}, {}])
def test_a_licence_that_nobody_has_looked_at_is_an_error(said, monkeypatch):
    message = Message()
    for key, value in said.items():
        message[key] = value
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: message)
    with pytest.raises(ValueError, match="some has the licence .*look at it"):
        licences.licence("some")


def test_a_classifier_of_a_system_is_not_taken_for_a_licence(monkeypatch):
    message = Message()
    message["License"], message["Classifier"] = "BSD-3-Clause", "Operating System :: POSIX :: BSD :: FreeBSD"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: message)
    assert licences.licence("some") == "BSD-3-Clause"
