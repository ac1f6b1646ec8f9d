"""No comparison without support: what texts say of the study's models is held to its tables, by tests/claims.toml."""

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from dtse_core.experiments import STUDY
from dtse_core.experiments.comparison import all_differences
from dtse_core.experiments.comparison import sentence as written
from dtse_core.experiments.plan import read_plan

MODELS = (
    r"\bDTSE\b|\bLMDF\b|\bVLMG[345]?\b|insertion|guided|guidance|late concatenation|sentence filters|self-attention"
    r"|one-way fusion|temporal duplex|query transformer|query memory|frozen text|text layer|(?i:levels of (the )?text)"
    r"|one rate|several rates|last level"
)
VERDICTS = (
    r"\b(ahead|behind(?! it)|equivalent|undecided|decided(ly)?|gains?|(?i:no) difference|loses?|leads? by"
    r"|keeps `|falls from|worse|better|at chance|higher|lower|highest|lowest|beats?|outperforms?)(?!\w)"
)
PARTS = ("docs", "benchmarks", "dtse_core", "demo")
NO_ANSWERS = ("report.md", "plan.md")  # generated; questions
SOURCES = {"rows", "means", "check", "other"}


def texts(root: Path) -> dict[str, str]:
    """What a person has written, by its path: pages of Markdown, and notebooks' texts."""
    found = {}
    pages = [
        *root.glob("*.md"),
        *(p for part in ("docs", "benchmarks", "dtse_core", "demo") for p in root.glob(f"{part}/**/*.md")),
    ]
    for page in pages:
        found[page.relative_to(root).as_posix()] = page.read_text(encoding="utf-8")
    for notebook in sorted(root.glob("notebooks/*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        told = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        found[notebook.relative_to(root).as_posix()] = "\n\n".join(told)
    return {name: text for name, text in found.items() if not name.endswith(NO_ANSWERS)}


def comparisons(text: str) -> list[str]:
    """The sentences of a text that name one of the study's models and how it does."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*[-*|] ?)", text)
    sentences = [s for p in paragraphs for s in re.split(r"(?<=[.?!])[*\"')]*\s+(?=[\[*`(\"A-Z])", " ".join(p.split()))]
    return [s for s in sentences if re.search(MODELS, s) and re.search(VERDICTS, s)]


@pytest.fixture(scope="module")
def claims():
    table = tomllib.loads(Path(__file__).parents[1].joinpath("claims.toml").read_text(encoding="utf-8"))
    return [(file, claim) for file, some in table.items() for claim in some]


@pytest.fixture(scope="module")
def study():
    runs, clips = (pd.read_parquet(STUDY / f"{name}.parquet") for name in ("runs", "clips"))
    return runs, clips, all_differences(runs, clips, runs["variant"].iloc[0], read_plan(STUDY / "grid.toml"))


def test_each_comparison_in_a_text_is_in_the_table(request, claims, study):
    known = {line for d in study[-1] if d.run for line in (written(d), f"- {written(d)}")}
    left = [
        f"{name}: {said}"
        for name, text in texts(request.config.rootpath).items()
        for said in comparisons(text)
        if said not in known and not any(file == name and claim["says"] in said for file, claim in claims)
    ]
    assert not left, "\n".join(["say in tests/claims.toml what these rest on, or take them out:", *left])


def test_each_line_of_the_table_is_in_a_text_and_names_what_it_rests_on(request, claims):
    said = texts(request.config.rootpath)
    for file, claim in claims:
        assert claim["says"] in " ".join(said[file].split()), f"{file} no longer says: {claim['says']}"
        assert claim.keys() - {"says"} and claim.keys() <= SOURCES | {"says"}


def test_each_verdict_in_a_text_is_that_of_the_tables(claims, study):
    verdicts = {(d.asked.variant, d.asked.part, d.asked.budget): d.verdict for d in study[-1]}
    for file, claim in claims:
        for variant, part, budget, asserted in claim.get("rows", ()):
            asked = [v for (a, b, c), v in verdicts.items() if (a, c) == (variant, budget) and part in ("*", b)]
            wrong = [v for v in asked if (v == "lower" if asserted == "not lower" else v != asserted)]
            assert asked and not wrong, f"{file}, {claim['says']!r}: {variant} on {part}, equal {budget}: {wrong}"


def test_without_vlmg_dtse_is_behind_on_the_parts_that_the_results_name_and_ahead_on_none(study):
    found = {d.asked.part: d.verdict for d in study[-1] if d.asked.variant == "VLMG off" and d.run}
    assert {part for part, said in found.items() if said == "lower"} == {"scale", "position", "nested"}
    assert "higher" not in found.values() and found["all"] == "undecided"


def test_each_mean_in_a_text_is_that_of_the_tables(claims, study):
    runs, clips, _ = study
    scores = clips.merge(runs[["run", "variant", "budget"]], on="run")
    for file, claim in claims:
        for variant, part, budget, asserted in claim.get("means", ()):
            own = scores[(scores["variant"] == variant) & (scores["budget"] == budget)]
            split = part if part in set(own["split"]) else "test"
            own = own[own["split"] == split]
            own = own if part in ("all", split) else own[own["evidence"] == part]
            mean = own.groupby("run")["told_apart" if part == "twins" else "iou"].mean().mean()
            digits = len(str(asserted).partition(".")[2])
            found = round(mean, digits) if digits else round(100 * mean)
            assert found == asserted, f"{file}, {claim['says']!r}: {variant} on {part}, equal {budget}: {mean:.4f}"


def test_each_check_that_a_text_rests_on_is_one_of_its_notebook(request, claims):
    for file, claim in claims:
        if "check" in claim:
            cells = json.loads((request.config.rootpath / file).read_text(encoding="utf-8"))["cells"]
            printed = "".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", ()))
            assert f"✓ {claim['check']}\n" in printed
