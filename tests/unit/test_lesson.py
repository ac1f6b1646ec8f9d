"""The notebook helpers: set-up, claims, exercises, the bar."""

import random
import re
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dtse_core.config import preset
from dtse_core.notebook import lesson
from dtse_core.notebook.lesson import check, claims_checked, guess, progress, seed_everything, setup


@pytest.fixture
def shell(monkeypatch):
    """IPython as the helpers see it: an input history and a display."""
    shown = []
    publisher = SimpleNamespace(publish=lambda forms, metadata=None: shown.append((forms, metadata)))
    shell = SimpleNamespace(user_ns={"In": ["", "SEED = 0"]}, display_pub=publisher, shown=shown)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return shell


def test_setup_resolves_the_profile_to_its_preset():
    for profile, name in (("smoke", "tiny"), ("colab", "colab"), ("paper", "paper")):
        run = setup(profile=profile, seed=5, device="cpu")
        assert run.config.preset == name and run.config.train.seed == 5 and run.config.data.name == "toy"
        assert run.config.model == preset(name).model
        assert run.device == torch.device("cpu")


def test_setup_points_the_configuration_at_the_data(tmp_path):
    data = setup(data_root=str(tmp_path)).config.data
    assert (data.name, data.root, data.val_split) == ("a2d", str(tmp_path), "local-val")
    (tmp_path / "toy_world.json").write_text("{}", encoding="utf-8")
    assert setup(data_root=str(tmp_path)).config.data.val_split == "val"


def test_setup_takes_the_data_sets_own_distance_of_frames_unless_the_preset_is_followed_by_another():
    for text, frames in (("", 2), ("colab data.offset=1", 1)):
        assert setup(data="ref_davis", preset=text).config.data.frame_offset == frames


def test_setup_keeps_the_notebooks_own_parameters_by_upper_case_name():
    assert setup(SEED=1, steps=20, name="x").parameters == {"STEPS": 20, "NAME": "x"}


def test_setup_shows_the_same_text_twice_and_the_resolved_values_to_the_runner(shell):
    for _ in range(2):
        run = setup(seed=3, steps=20)
    (forms, metadata), (again, _) = shell.shown
    assert forms == again and "profile smoke (preset tiny) · device cpu · seed 3" in forms["text/plain"]
    assert metadata["dtse"]["parameters"] == {"PROFILE": "smoke", "SEED": 3, "DEVICE": "", "DATA_ROOT": "", "STEPS": 20}
    assert metadata["dtse"]["config"]["train.seed"] == 3 == run.config.train.seed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"profile": "smok"}, "PROFILE is 'smok'; it must be one of smoke, colab, paper"),
        ({"seed": "3"}, "SEED is '3'; it must be a whole number"),
        ({"seed": True}, "SEED is True; it must be a whole number"),
        ({"seed": -1}, "SEED is -1; it must be 0 to 4294967295"),
        ({"device": 0}, "DEVICE is 0; it must be a text"),
        ({"data_root": 5}, "DATA_ROOT is 5; it must be a text"),
        ({"clips": (1, 2)}, "CLIPS is (1, 2); a parameter is a text, a finite number"),
        ({"rate": float("inf")}, "RATE is inf; a parameter is a text"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
    ],
)
def test_setup_refuses_a_wrong_value_and_names_it(wrong, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        setup(**wrong)


def test_setup_refuses_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="DATA_ROOT is .*nowhere"):
        setup(data_root=str(tmp_path / "nowhere"))


def test_setup_refuses_a_parameter_that_papermill_injected_and_the_notebook_lacks(shell):
    shell.user_ns["In"].append("# Parameters\nSEDE = 3\n")
    with pytest.raises(ValueError, match=r"no parameter SEDE \(did you mean 'SEED'\?\); it has PROFILE, SEED"):
        setup(seed=0)


def test_setup_accepts_injected_parameters_that_it_was_given(shell):
    shell.user_ns["In"] += ["# Parameters\nSEED = 3\nSTEPS = 2\n", "# parameters of mine\nOTHER = 1", "%pip broken ("]
    assert setup(seed=3, steps=2).seed == 3


@pytest.mark.parametrize(
    ("injected", "words"),
    [
        ("STEPS = '1e3'", "STEPS is '1e3'; it must be a whole number"),
        ("STEPS = 100.0", "STEPS is 100.0; it must be a whole number"),
        ("RATE = float('nan')", "`RATE = float('nan')` is not a parameter"),
    ],
)
def test_setup_holds_what_papermill_injected_to_the_parameters_cell(shell, injected, words):
    shell.user_ns["In"] = ["", "STEPS = 5\nRATE = 0.5", f"# Parameters\n{injected}\n"]
    values = {"STEPS": 5, "RATE": 0.5}
    exec(injected, values)
    with pytest.raises(ValueError, match=re.escape(words)):
        setup(steps=values["STEPS"], rate=values["RATE"])


def test_setup_has_a_gpu_compute_in_float32_and_no_version_complains():
    kinds = torch.backends.cudnn, torch.backends.cuda.matmul
    with warnings.catch_warnings(action="ignore"):
        for kind in kinds:
            kind.allow_tf32 = True
    with warnings.catch_warnings(action="error"):
        setup()
    assert [kind.allow_tf32 for kind in kinds] == [False, False]


def test_seed_everything_repeats_all_three_generators():
    def draw():
        seed_everything(7)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()
    seed_everything(8)
    assert random.random() != draw()[0]


def test_deterministic_mode_is_switched_on_and_off():
    seed_everything(0, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    seed_everything(0)
    assert not torch.are_deterministic_algorithms_enabled()


def test_check_counts_each_claim_once_and_setup_starts_anew(capsys):
    setup()
    check(True, "one")
    check(torch.tensor(True), "two")
    check(np.bool_(True), "two")
    assert claims_checked() == 2
    assert capsys.readouterr().out.endswith("✓ one\n✓ two\n✓ two\nThis notebook checked 2 claims.\n")
    setup()
    assert claims_checked() == 0


def test_a_claim_that_does_not_hold_raises_and_is_named():
    setup()
    with pytest.raises(AssertionError, match="does not hold: pigs fly"):
        check(False, "pigs fly")
    assert claims_checked() == 0


def test_guess_folds_each_answer_and_hides_it_from_a_view_without_html(shell, monkeypatch, tmp_path):
    monkeypatch.setattr(lesson, "GUESSES", tmp_path / "guesses.toml")
    lesson.GUESSES.write_text(
        '[04_vlmg]\n"which shape?" = "(B, <T>)"\n[05_x]\n"why?" = "so `a < b`"\n', encoding="utf-8"
    )
    guess("which shape?", "why?")
    [(forms, _)] = shell.shown
    assert forms["text/html"].splitlines() == [
        "<details><summary>which shape?</summary><p>(B, &lt;T&gt;)</p></details>",
        "<details><summary>why?</summary><p>so <code>a &lt; b</code></p></details>",
    ]
    assert "which shape?" in forms["text/plain"] and "(B" not in forms["text/plain"]
    with pytest.raises(ValueError, match=r"no answer to 'which shapes\?' \(did you mean 'which shape\?'\?\)"):
        guess("which shapes?")


def test_progress_is_silent_when_headless_and_gives_all_items(monkeypatch, capsys):
    monkeypatch.setenv("DTSE_HEADLESS", "1")
    assert list(progress(range(3), "work")) == [0, 1, 2]
    seen = capsys.readouterr()
    assert seen.out == seen.err == ""
    monkeypatch.delenv("DTSE_HEADLESS")
    assert list(progress(iter(range(3)), "work", total=3)) == [0, 1, 2]
    assert "work" in capsys.readouterr().out


def test_versions_are_read_without_importing():
    assert lesson.version("torch") == torch.__version__
    assert lesson.version("no-such-package-here") == "not installed"
