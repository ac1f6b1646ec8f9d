"""Mutation testing, by hand: does a test fail when one operator, number or condition of a module is another?

    make mutation                          # 60 mutants of each module
    make mutation MODULES="losses vlmg"

Cosmic Ray's operators make the mutants and a fixed seed draws them: no place twice before every place had its turn, and
only other programs, so neither what does not compile nor a changed annotation. The module's own tests first run as they
are, and then once a mutant until one fails, in a fork that has all libraries loaded and none of our modules. The first
fork has the module unchanged: if anything fails there, nothing is counted. No file is changed. Tests that do not end
count as failed. Survivors are printed; docs/reliability.md explains them.
"""

import ast
import contextlib
import difflib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
import tyro
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).resolve().parents[1]
TESTS = {  # the files that must notice
    "vlmg": ["vlmg"],
    "lmdf": ["lmdf"],
    "decoder": ["decoder", "metrics"],
    "losses": ["losses"],
    "metrics": ["metrics"],
    "scoring/summary": ["summary", "scoring"],
}
Modules = tyro.conf.Positional[tuple[Literal[*TESTS], ...]]


class Mutant(NamedTuple):
    operator: str
    line: int
    source: str  # of the whole module


def program(source: str) -> str:
    """What a source does: its syntax tree without annotations."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in {"annotation", "returns"} & set(node._fields):
            setattr(node, field, None)
    return ast.dump(tree)


def mutants(source: str, seed: int) -> Iterator[Mutant]:
    """Other programs that one mutation makes of a source, in the order of the draw."""
    tree, provider, possible = get_ast(source), OperatorProvider(), []
    operators = {name: provider[name]() for name in sorted(provider) if not provider[name].arguments()}
    for name, operator in operators.items():
        places = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
        possible += [(name, occurrence, place) for occurrence, place in enumerate(places)]
    random.Random(seed).shuffle(possible)
    turns, seen = Counter(), {program(source)}

    def turn(mutation: tuple) -> int:
        turns[mutation[2]] += 1
        return turns[mutation[2]]

    for name, occurrence, (line, _) in sorted(possible, key=turn):
        changed = mutate_code(source, operators[name], occurrence)
        with contextlib.suppress(SyntaxError):
            if program(changed) not in seen:
                seen.add(program(changed))
                yield Mutant(name, line, changed)


class FirstFailure:
    """A pytest plugin: what fails first. Hypothesis looks for no smaller example, and takes its time."""

    name = ""

    def pytest_sessionstart(self) -> None:
        changes = {"phases": [Phase.explicit, Phase.generate], "suppress_health_check": [HealthCheck.too_slow]}
        settings.register_profile("mutation", settings.get_profile("daily"), **changes)
        settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            self.name = self.name or report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def first_failure(module: str) -> str:
    """The first of a module's tests that fails, or nothing."""
    files = [str(ROOT / f"tests/unit/test_{name}.py") for name in TESTS[module]]
    first = FirstFailure()
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        code = pytest.main(["-x", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *files], plugins=[first])
    return first.name or ("" if code == 0 else f"pytest ends with {code}")


def first_failure_of_mutant(module: str, source: str, seconds: float) -> str:
    """The same with another source for the module, in a fork."""
    reader, writer = os.pipe()
    if child := os.fork():
        os.close(writer)
        with open(reader, encoding="utf-8") as pipe:
            failure = pipe.read()
        _, status = os.waitpid(child, 0)
        return failure if status == 0 else f"ends with {os.waitstatus_to_exitcode(status)}"
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its end comes with SIGPROF
    get_code = SourceFileLoader.get_code

    def mutated(loader: SourceFileLoader, name: str) -> object:
        ours = name == f"dtse_core.{module.replace('/', '.')}"
        return compile(source, loader.path, "exec") if ours else get_code(loader, name)

    SourceFileLoader.get_code = mutated
    os.write(writer, first_failure(module).encode())
    os._exit(0)


def forget_our_modules() -> None:
    """An environment may lie in the checkout, as .venv does: its libraries stay."""
    ours = {ROOT / folder for folder in ("benchmarks", "dtse_core", "tests")}
    for name, module in list(sys.modules.items()):
        if name != "__main__" and ours & {*Path(getattr(module, "__file__", None) or ROOT.anchor).parents}:
            del sys.modules[name]


def main(modules: Modules = (*TESTS,), count: int = 60, seed: int = 0) -> None:
    """Try `count` mutants of each module."""
    for module in modules:
        path = ROOT / f"dtse_core/{module}.py"
        source = path.read_text(encoding="utf-8")
        begun = time.process_time()
        if failure := first_failure(module):
            sys.exit(f"{failure} fails before {path} is mutated")
        limit = 5 + 5 * (time.process_time() - begun)
        forget_our_modules()
        if failure := first_failure_of_mutant(module, source, limit):
            sys.exit(f"{failure}, in a fork, before {path} is mutated")
        tried = survivors = 0
        for _, mutant in zip(range(count), mutants(source, seed), strict=False):
            killer = first_failure_of_mutant(module, mutant.source, limit)
            tried, survivors = tried + 1, survivors + (not killer)
            print(f"{module}.py:{mutant.line} {mutant.operator}: {killer or 'survives'}", flush=True)
            if not killer:
                diff = difflib.unified_diff(source.splitlines(), mutant.source.splitlines(), n=0, lineterm="")
                print(*[f"    {line}" for line in diff if line[:3] not in ("---", "+++")], sep="\n")
        print(f"dtse_core/{module}.py: {tried} mutants, {survivors} survive", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
