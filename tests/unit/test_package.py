"""The package as it is imported: its public names, its version, and that it is typed."""

import shlex
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dtse_core
import dtse_core.__main__
import dtse_core.data
from dtse_core.shared import console, versions

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_tab_completion_offers_the_public_names_and_loads_none_of_them():
    code = "import sys, dtse_core, dtse_core.data; print(*dir(dtse_core), *dir(dtse_core.data))"
    code += "; assert not {'torch', 'dtse_core.model', 'dtse_core.data.a2d'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert {*dtse_core.__all__, "__version__", *dtse_core.data.__all__} <= set(done.stdout.split())


@pytest.mark.parametrize("package", [dtse_core, dtse_core.data], ids=lambda p: p.__name__)
def test_every_public_name_is_there_and_a_type_checker_sees_it_too(package):
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    text = Path(package.__file__).read_text(encoding="utf-8")
    imports = [line.split() for line in text.splitlines() if line.startswith("    from .")]
    assert {name: module.lstrip(".") for _, module, _, name, _, _ in imports} == package._HOMES
    assert (ROOT / "dtse_core/py.typed").is_file()


def test_another_name_is_an_error_that_says_it():
    with pytest.raises(AttributeError, match="'dtse_core' has no attribute 'DTSEModel'"):
        dtse_core.DTSEModel  # noqa: B018


def test_the_version_in_a_checkout_is_that_of_pyproject():
    assert dtse_core.__version__ == versions.version("dtse") == VERSION


def test_the_version_of_an_installed_copy_is_that_of_its_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: f"{name} 9.8.7")
    monkeypatch.setattr(versions, "PROJECT", tmp_path / "pyproject.toml")  # as in site-packages: it is not there
    assert dtse_core.__version__ == "dtse 9.8.7"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "1"\n', encoding="utf-8")
    assert dtse_core.__version__ == "dtse 9.8.7"


def test_a_missing_package_is_named_with_a_command_that_installs_it(monkeypatch):
    """The address is pyproject's: no registry has the package. Each optional package is in the extra that is named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Repository"] == versions.ADDRESS
    groups = {f"[{e}]": lines for e, lines in project["optional-dependencies"].items()} | {"": project["dependencies"]}
    named = {"PIL": "Pillow"}
    for extra, packages in versions.EXTRAS.items():
        asked = {Requirement(line).name for line in groups[extra]}
        own = {named.get(name, name) for name in packages.split()}
        assert own - {"nbformat"} <= asked, extra  # nbconvert brings it
        assert extra == "[experiments]" or asked == own
    assert versions.install("a_package_of_ones_own") == ""
    for name, extra in [("av", "data"), ("pandas", "experiments")]:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ModuleNotFoundError) as said:
            versions.library(name, "clip.mp4")
        command = f"pip install 'dtse[{extra}] @ git+{versions.ADDRESS}'"
        assert str(said.value) == f"clip.mp4 needs the package {name}: {command}"
        assert Requirement(shlex.split(command)[-1]).url == f"git+{versions.ADDRESS}"


def test_a_package_that_does_not_load_is_not_said_to_be_missing(tmp_path, monkeypatch):
    (tmp_path / "torn.py").write_text("raise ImportError('libtorn.so.1 is not here')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"needs the package torn, which does not load \(libtorn.so.1 is"):
        versions.library("torn", "clip.mp4")


def test_a_command_that_lacks_a_package_says_how_to_get_it(monkeypatch, capsys):
    @console.one_line_errors
    def main():
        import seaborn  # noqa: F401

    monkeypatch.setitem(sys.modules, "seaborn", None)
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(f"; pip install 'dtse[experiments] @ git+{versions.ADDRESS}'\n")


def test_dtse_without_what_it_needs_says_how_to_get_it(monkeypatch, capsys):
    for name in ("tyro", "dtse_core.data.prepare.__main__"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "tyro", None)
    monkeypatch.setattr(sys, "argv", ["dtse", "prepare", "--help"])
    with pytest.raises(SystemExit) as end:
        dtse_core.__main__.main()
    assert end.value.code == 1
    assert capsys.readouterr().err.endswith(f"; pip install 'dtse @ git+{versions.ADDRESS}'\n")
