"""The rules that each committed notebook keeps. A rule takes a `Page` and yields one line for each fault.

`python tools/hygiene.py [NOTEBOOK ...]` prints all faults.
"""

import ast
import base64
import difflib
import re
import statistics
import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.clocks import clocks_in_checks  # noqa: E402

ORDER = ("head", "goals", "roadmap", "parameters", "bootstrap", "idea", "exercise", "summary", "assertions")
BODY = ("idea", "toy", "define", "sketch", "check", "real", "explore")  # repeats between idea and exercise
OTHER = ("nbval-ignore-output", "nbval-check-output", "figure", "appendix")
SHARED = ("PROFILE", "SEED", "DEVICE", "DATA_ROOT")
MARK = re.compile(  # with no link behind it; the letters are on their way out: a mark is words
    r"\[(?:A|L|D-\d+)(?:, (?:A|L|D-\d+))*\](?![\[(\]])|(?<![\[*])\*(?:abstract|lab|choices? \d[^*]*)\*(?!\]\[register)"
)
LINK = re.compile(  # in Markdown, at its end, or in HTML
    r"\]\(\s*<?([^)\s>]+)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)|\b(?:href|src)=[\"']([^\"']+)", re.MULTILINE
)
REGISTER = "/blob/main/docs/register.md"
ABSTRACT = (  # arXiv 2203.15969, whole; "VLGM" is spelt so there
    "Referring video segmentation aims to segment the corresponding video object described by the language "
    "expression. To address this task, we first design a two-stream encoder to extract CNN-based visual features and "
    "transformer-based linguistic features hierarchically, and a vision-language mutual guidance (VLMG) module is "
    "inserted into the encoder multiple times to promote the hierarchical and progressive fusion of multi-modal "
    "features. Compared with the existing multi-modal fusion methods, this two-stream encoder takes into account the "
    "multi-granularity linguistic context, and realizes the deep interleaving between modalities with the help of "
    "VLGM. In order to promote the temporal alignment between frames, we further propose a language-guided "
    "multi-scale dynamic filtering (LMDF) module to strengthen the temporal coherence, which uses the "
    "language-guided spatial-temporal features to generate a set of position-specific dynamic filters to more "
    "flexibly and effectively update the feature of current frame. Extensive experiments on four datasets verify the "
    "effectiveness of the proposed model."
)
PRIVATE = re.compile(r"(?<![\w.:/>-])/(?:home|root|Users|tmp|work|mnt|opt|var|usr|private)/\w|\b[A-Z]:\\{1,2}\w")


@dataclass(frozen=True)
class Page:
    """A notebook and what the rules ask about it."""

    name: str  # stem of the file
    notebook: Any
    size: int  # bytes of the file

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path.stem, nbformat.read(path, as_version=4), path.stat().st_size)

    @property
    def number(self) -> int | None:
        """The lesson's number; None for a notebook that is not a lesson, such as experiment.ipynb."""
        return int(self.name[:2]) if self.name[:2].isdigit() else None

    @cached_property
    def cells(self) -> list[Any]:
        return list(self.notebook.cells)

    @cached_property
    def code(self) -> list[tuple[int, Any]]:
        """The code cells with their indices."""
        return [(k, c) for k, c in enumerate(self.cells) if c.cell_type == "code"]

    def tagged(self, tag: str) -> list[tuple[int, Any]]:
        return [(k, c) for k, c in enumerate(self.cells) if tag in tags(c)]


def tags(cell: Any) -> list[str]:
    """The cell's tags; of `define:Name` and its like the part before the colon."""
    return [t.partition(":")[0] for t in cell.metadata.get("tags", [])]


def plain(cell: Any) -> str:
    """Text of a code cell without its magics: those that time are a call of `timeit`, others `pass`."""
    text = re.sub(r"(?m)^(\s*(?:\w+ = )?)%+time.*$", r"\1timeit()", cell.source)
    return re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", text)


def tree(cell: Any) -> ast.Module | None:
    """Syntax tree of a code cell; None if it is not Python."""
    try:
        return ast.parse(plain(cell))
    except SyntaxError:
        return None


def tags_in_order(page: Page) -> Iterator[str]:
    known = {*ORDER, *BODY, *OTHER}
    for k, cell in enumerate(page.cells):
        for tag in tags(cell):
            if tag not in known:
                near = difflib.get_close_matches(tag, known, n=1)
                yield f"cell {k}: unknown tag {tag}" + (f" (did you mean {near[0]}?)" if near else "")
    first = {tag: found[0][0] for tag in ORDER if (found := page.tagged(tag))}
    for tag in ORDER:
        if tag not in first:
            yield f"no cell is tagged {tag}"
    order = sorted(first, key=first.__getitem__)
    if order != [tag for tag in ORDER if tag in first]:
        yield f"tags stand in the order {', '.join(order)}; expected {', '.join(ORDER)}"
    needed = ("check", "real") if page.number in (0, 8, 9, 10, 11, 12, 13) else ("toy", "check", "real")
    for tag in needed:
        if not page.tagged(tag):
            yield f"no cell is tagged {tag}"
    for tag in BODY:
        for k, _ in page.tagged(tag):
            body = first.get("idea", 0) <= k < first.get("exercise", len(page.cells))
            if not body and "appendix" not in tags(page.cells[k]):
                yield f"cell {k}: {tag} stands outside the body, which runs from idea to exercise"
    for k, _ in page.tagged("appendix"):
        if not first.get("summary", 0) < k < first.get("assertions", len(page.cells)):
            yield f"cell {k}: an appendix stands between summary and assertions"
    checks = [k for k, _ in page.tagged("check")]
    for k, cell in page.tagged("define"):
        if not any(c > k for c in checks):
            yield f"cell {k}: nothing checks {', '.join(t for t in cell.metadata.tags if t.startswith('define:'))}"
    if page.cells and "assertions" not in tags(page.cells[-1]):
        yield "the last cell is not tagged assertions"


def two_or_three_exercises(page: Page) -> Iterator[str]:
    count = len([c for _, c in page.tagged("exercise") if c.cell_type == "code"])
    if count not in (2, 3):
        yield f"{count} code cells are tagged exercise; there are two or three"


def parameters_plain_and_read(page: Page) -> Iterator[str]:
    cells = page.tagged("parameters")
    if len(cells) != 1:
        yield f"{len(cells)} cells are tagged parameters; exactly one must be"
        return
    at, cell = cells[0]
    names, lines = [], cell.source.strip().splitlines()
    if len(lines) > 8:
        yield f"cell {at}: {len(lines)} parameters; at most 8"
    for line in lines:
        found = re.fullmatch(r"([A-Z][A-Z0-9_]*) = (.+?)  # \S.*", line)
        try:
            value = ast.literal_eval(found[2]) if found else None
        except (ValueError, SyntaxError):
            value = None
        if type(value) not in (int, float, str, bool):
            yield f"cell {at}: expected `NAME = literal  # what it is`, found `{line}`"
        names += [found[1]] if found else []
    if tuple(names[:4]) != SHARED:
        yield f"cell {at}: the parameters begin with {', '.join(names[:4])}; expected {', '.join(SHARED)}"
    calls = [
        (k, node)
        for k, c in page.tagged("bootstrap")
        for node in ast.walk(tree(c) or ast.Module([], []))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"
    ]
    if len(calls) != 1:
        yield f"the bootstrap cell calls setup() {len(calls)} times; expected once"
        return
    bootstrap, call = calls[0]
    passed = {w.arg.upper(): getattr(w.value, "id", "") for w in call.keywords if w.arg}
    for name in names:
        if passed.get(name) != name:
            yield f"cell {bootstrap}: setup() does not get {name}; pass {name.lower()}={name}"
    for name in set(passed) - set(names):
        yield f"cell {bootstrap}: setup() gets {name.lower()}, which is not a parameter"
    later = [tree(c) for k, c in page.code if k > bootstrap]
    read = {n.id for t in later if t for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    for name in names[4:]:
        if name not in read:
            yield f"no cell after set-up reads the parameter {name}"


def within_budget(page: Page) -> Iterator[str]:
    if page.size > 300_000:
        yield f"the file has {page.size / 1000:.0f} KB; at most 300"
    lesson = [c for c in page.cells if "appendix" not in tags(c)]
    prose = sum(c.cell_type == "markdown" for c in lesson)
    built = page.number is not None and page.number <= 7  # a lesson that builds a piece
    code = sum(c.cell_type == "code" and "bootstrap" not in tags(c) for c in lesson)
    if built and not 1.3 <= prose / code <= 2.2:
        yield f"{prose} markdown cells for {code} code cells beside set-up; at least 1.3 and at most 2.2 for one"
    median = statistics.median(len(c.source.splitlines()) for c in lesson if c.cell_type == "code")
    if built and median > 20:
        yield f"half of the code cells have more than {median:g} lines; at most 20"
    for k, cell in page.code:
        lines = cell.source.splitlines()
        limit = 6 if "bootstrap" in tags(cell) else 40
        if len(lines) > limit:
            yield f"cell {k}: {len(lines)} lines; at most {limit}"
        for line in lines:
            if len(line) > 80:
                yield f"cell {k}: {len(line)} columns; at most 80: {line.strip()[:40]}..."
        for data in (o.get("data", {}) for o in cell.outputs):
            if "image/svg+xml" in data:
                yield f"cell {k}: an SVG figure; PNG keeps the file small"
            if "image/png" in data:
                picture = base64.b64decode("".join(data["image/png"]))
                width = int.from_bytes(picture[16:20], "big")  # of the IHDR chunk
                if len(picture) > 60_000 or width > 800:
                    yield f"cell {k}: a figure of {len(picture) / 1000:.0f} KB, {width} pixels; at most 60 KB, 800"


def a_sentence_before_code(page: Page) -> Iterator[str]:
    for (before, _), (k, cell) in zip(page.code, page.code[1:], strict=False):
        free = {"check", "bootstrap", "assertions"} & set(tags(cell)) or "check(" in cell.source
        if k == before + 1 and not free:
            yield f"cell {k}: follows a code cell without a sentence, and checks nothing"


def executed_once_in_order(page: Page) -> Iterator[str]:
    counts = [cell.execution_count for _, cell in page.code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}; expected 1 to {len(counts)} in order (make notebooks)"
    for k, cell in page.tagged("nbval-check-output"):
        if cell.get("execution_count") is None or not cell.get("outputs"):
            yield f"cell {k}: nbval-check-output without an output compares nothing"
    for k, cell in page.code:
        if not cell.source.strip():
            yield f"cell {k}: empty"
        if _checks_something(cell) and "✓ " not in _printed(cell):
            yield f"cell {k}: checks a claim, but its output has no ✓ (make notebooks)"
    ticks = {line for _, c in page.code for line in _printed(c).splitlines() if line.startswith("✓ ")}
    counted = [int(n) for _, c in page.code for n in re.findall(r"This notebook checked (\d+) claim", _printed(c))]
    if counted != [len(ticks)] and page.number is not None:
        yield f"the outputs hold {len(ticks)} checked claims, the last cell counts {counted} (make notebooks)"


def _printed(cell: Any) -> str:
    return "".join("".join(o.text) for o in cell.outputs if o.output_type == "stream")


def _checks_something(cell: Any) -> bool:
    """True if the cell calls check() itself, outside of a function that it only defines."""
    waiting: list[ast.AST] = [tree(cell) or ast.Module([], [])]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check":
            return True
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return False


def marked_and_quoted(page: Page) -> Iterator[str]:
    """Each mark leads to the register, and nothing but the abstract is quoted as the paper (00 to 07)."""
    if page.number is None or page.number > 7:
        return
    quoted = False
    for k, cell in enumerate(page.cells):
        if cell.cell_type != "markdown":
            continue
        prose = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$", "", cell.source, flags=re.DOTALL)
        for found in (match[0] for match in MARK.finditer(prose)):
            yield f"cell {k}: {found} leads nowhere; link it: [*choice 3*][register]"
        line = rf"^\[register\]: https://\S+{REGISTER}$"
        if "][register]" in prose and not re.search(line, prose, re.MULTILINE):
            yield f"cell {k}: the line `[register]: ADDRESS{REGISTER}` is missing"
        for line in re.findall(r"^> (?!\*)(.+)$", cell.source, re.MULTILINE):
            for part in (part.strip(" .") for part in line.split("[…]")):
                quoted = quoted or part in ABSTRACT
                if part not in ABSTRACT:
                    yield f"cell {k}: quotes what the abstract does not say: {part[:50]}..."
    if not quoted:
        yield "no sentence of the abstract is quoted"


def links_hold_anywhere(page: Page) -> Iterator[str]:
    """Links to all but notebooks beside this one have an address: Colab and nbviewer open the notebook alone."""
    for k, cell in enumerate(page.cells):
        if cell.cell_type == "markdown":
            for link in map("".join, LINK.findall(cell.source)):
                if not re.match(r"https?://|#|attachment:|\w+\.ipynb(#|$)", link):
                    yield f"cell {k}: {link} leads nowhere on Colab; name its address"


def nothing_skipped(page: Page) -> Iterator[str]:
    for k, cell in enumerate(page.cells):
        if "nbval-skip" in cell.metadata.get("tags", []) or "NBVAL_SKIP" in cell.source:
            yield f"cell {k}: is skipped by nbval"
        if "NBVAL_IGNORE_OUTPUT" in cell.source or "NBVAL_CHECK_OUTPUT" in cell.source:
            yield f"cell {k}: marks nbval by comment; use a tag"
        ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
        if ignored and not re.search(r"\bsetup\(|version|device|perf_counter|time|seconds", cell.source):
            yield f"cell {k}: nbval-ignore-output is for versions, devices and times only"


def no_closing_semicolon(page: Page) -> Iterator[str]:
    for k, cell in page.code:
        if cell.source.rstrip().endswith(";"):
            yield f"cell {k}: ends in a semicolon, which hides its value from papermill but not from nbval"


def no_clock_in_a_check(page: Page) -> Iterator[str]:
    """A time is printed; a check on it would fail on a slower machine."""
    cells = [(k, plain(cell)) for k, cell in page.code if tree(cell)]
    ends = list(accumulate(text.count("\n") + 1 for _, text in cells))
    for line, text in clocks_in_checks(ast.parse("\n".join(text for _, text in cells))):
        yield f"cell {cells[bisect_left(ends, line)][0]}: a clock's value in a check; print it instead: {text[:60]}"


def clean_outputs(page: Page) -> Iterator[str]:
    meta = page.notebook.metadata
    if meta.get("kernelspec", {}).get("name") != "python3":
        yield "the kernelspec is not python3 (make notebooks)"
    for key in ("widgets", "papermill"):
        if key in meta:
            yield f"metadata.{key} is present (make notebooks)"
    for k, cell in enumerate(page.cells):
        if "injected-parameters" in cell.metadata.get("tags", []):
            yield f"cell {k}: papermill's parameters (make notebooks)"
        for key in {"papermill", "execution"} & set(cell.metadata):
            yield f"cell {k}: metadata.{key} is present (make notebooks)"
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"cell {k}: the output is an error: {output.ename}"
            if any("widget" in kind for kind in output.get("data", {})):
                yield f"cell {k}: the output is a widget"
            lines = "".join(output.get("data", {}).get("text/plain", "")).count("\n") + 1
            if lines > 20:
                yield f"cell {k}: shows a value of {lines} lines; at most 20"
            if output.get("name") == "stderr":
                yield f"cell {k}: writes to stderr: {''.join(output.text)[:60]!r}"


def no_private_paths(page: Page) -> Iterator[str]:
    for k, cell in enumerate(page.cells):
        outputs = cell.get("outputs", [])
        texts = [cell.source, *(str(o.get("text", "")) for o in outputs)]
        texts += [str(v) for o in outputs for kind, v in o.get("data", {}).items() if not kind.startswith("image/")]
        texts += [str(o.get("metadata", "")) for o in outputs]
        for found in (f for text in texts if (f := PRIVATE.search(text))):
            yield f"cell {k}: an absolute path: ...{found[0]}..."
        if cell.cell_type == "markdown" and re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")", cell.source):
            yield f"cell {k}: a picture without alt text"


RULES = (
    tags_in_order,
    two_or_three_exercises,
    parameters_plain_and_read,
    within_budget,
    a_sentence_before_code,
    executed_once_in_order,
    marked_and_quoted,
    links_hold_anywhere,
    nothing_skipped,
    no_closing_semicolon,
    no_clock_in_a_check,
    clean_outputs,
    no_private_paths,
)
LESSONS_ONLY = (tags_in_order, two_or_three_exercises)


def faults(page: Page) -> list[str]:
    """All faults of one notebook, each with the rule that found it."""
    rules = [rule for rule in RULES if page.number is not None or rule not in LESSONS_ONLY]
    return [f"{page.name}: {fault} [{rule.__name__}]" for rule in rules for fault in rule(page)]


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent.parent / "notebooks"
    paths = [Path(p) for p in sys.argv[1:]] or sorted(folder.glob("*.ipynb"))
    found = [fault for path in paths for fault in faults(Page.read(path))]
    print("\n".join(found) or f"{len(paths)} notebooks, no fault")
    sys.exit(bool(found))
