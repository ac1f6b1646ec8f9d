"""JupyterLab in the browser, as a reader has it: explorers answer their controls, a button writes its files."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
PATIENCE = 240_000  # milliseconds for a whole notebook, on a busy machine


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address and folder of a JupyterLab that has a copy of the notebooks, and nothing of its user's."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(
        ROOT / "notebooks", home / "work/notebooks", ignore=shutil.ignore_patterns(".*", "__pycache__", "runs")
    )
    for name, values in SETTINGS.items():
        file = home / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    places = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    environment = {k: v for k, v in os.environ.items() if k != "DTSE_HEADLESS" and not k.startswith("JUPYTER")}
    environment |= {f"JUPYTER_{key}": str(home / place) for key, place in places.items()}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "IPYTHONDIR": str(home / "ipython")}
    environment |= {
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'work'}", "--LabApp.news_url=None"]
    with open(home / "log", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield wait_for(f"http://127.0.0.1:{port}", server, home / "log"), home / "work"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen, log: Path) -> str:
    for _ in range(600):
        assert server.poll() is None, log.read_text(encoding="utf-8")
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=10).close()
            return address
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab does not answer: {log.read_text(encoding='utf-8')}")


def run_all(browser, lab, name: str):
    """The page of a notebook whose cells have all run, none of them with an error."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab[0]}/lab/tree/notebooks/{name}.ipynb?reset")
    page.get_by_text("| Idle").wait_for()  # the kernel is there, says the status bar
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent.trim())"
    page.wait_for_function(f"() => {prompts}.includes('[*]:')")
    page.wait_for_function(f"() => !{prompts}.includes('[*]:')")
    errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()
    assert errors == [] and "[ ]:" not in page.evaluate(prompts)
    return page


def shown(explorer) -> str:
    """The bytes of the picture below the controls."""
    return explorer.locator("img").evaluate(
        "async e => Array.from(new Uint8Array(await (await fetch(e.src)).arrayBuffer())).join()"
    )


def label(control) -> str:
    """What stands beside a control."""
    return control.evaluate("e => e.closest('.jupyter-widgets').querySelector('label').textContent")


def changed(explorer, before: str, control: str) -> str:
    """The picture, as soon as it is another than `before` the control moved."""
    for _ in range(200):
        if (now := shown(explorer)) != before:
            return now
        explorer.page.wait_for_timeout(100)
    raise AssertionError(f"{control} moved, and the picture stayed as it was")


def test_every_slider_and_dropdown_of_notebook_10_changes_the_picture(lab, browser, pictures):
    page = run_all(browser, lab, "10_look_inside")
    explorers = page.locator(".jp-OutputArea-output > .widget-vbox:has(img)")
    explorers.first.wait_for()
    kinds = set()
    for k in range(explorers.count()):
        explorer = explorers.nth(k)
        explorer.scroll_into_view_if_needed()
        picture = shown(explorer)
        for slider in explorer.locator(".noUi-handle").all():
            last = slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
            slider.focus()
            slider.press("ArrowLeft" if last else "ArrowRight")
            picture = changed(explorer, picture, f"explorer {k}: {label(slider)}")
            kinds.add("slider")
        for dropdown in explorer.locator("select").all():
            chosen = dropdown.evaluate("e => e.selectedIndex")
            dropdown.select_option(index=(chosen + 1) % dropdown.locator("option").count())
            picture = changed(explorer, picture, f"explorer {k}: {label(dropdown)}")
            kinds.add("dropdown")
        explorer.screenshot(path=pictures / f"notebook_10_explorer_{k}.png")
    assert explorers.count() == sum("\nexplore(" in f"\n{s}" for s in sources(lab, "10_look_inside"))
    assert kinds == {"slider", "dropdown"}
    page.close()


def test_notebook_12_says_which_files_it_keeps(lab, browser, pictures):
    page = run_all(browser, lab, "12_your_own_video")
    page.get_by_text("own_video/overlay.mp4").first.wait_for()
    page.screenshot(path=pictures / "notebook_12_saved.png")
    assert (lab[1] / "notebooks/runs/own_video/overlay.mp4").stat().st_size > 1000
    page.close()


def sources(lab, name: str) -> list[str]:
    """The text of each code cell."""
    cells = json.loads((lab[1] / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
