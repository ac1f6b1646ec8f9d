"""No claim depends on a machine's speed: finds clocks' values inside `check(...)` and `assert`.

Times are printed in lessons and judged in benchmarks/. A value is a clock's if a function of CLOCKS returns it, or if
it is a key or an attribute named as SECONDS says, which is how the package calls what it measured. So is what is
computed from such a value, what a variable or key holds of it, and what a function returns that reads a clock.
"""

import ast
import re
from collections.abc import Iterator, Set

CLOCKS = ("perf_counter", "process_time", "monotonic", "thread_time")
CLOCKS = (*CLOCKS, *(f"{name}_ns" for name in CLOCKS), "time.time", "time.time_ns", "timeit", "now", "getrusage")
SECONDS = re.compile(r"(?:\w+_)?(?:milli)?seconds|elapsed(?:_\w+)?")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def clocks_in_checks(module: ast.Module) -> list[tuple[int, str]]:
    """Line and text of each `check(...)` or `assert` that a clock's value flows into."""
    found: set[tuple[int, str]] = set()
    _follow(module, set(), found)
    return sorted(found)


def _follow(scope: ast.Module | Function, outside: Set[str], found: set[tuple[int, str]]) -> set[str]:
    """Goes through a scope's statements in order and adds the checks that it finds.

    `outside` are the names that hold a clock's value where the scope begins: variables and functions as `name`, keys
    and attributes as `.name`. Returns those at its end.
    """
    own = {a.arg for a in ast.walk(scope.args) if isinstance(a, ast.arg)} if isinstance(scope, Function) else set()
    held = set(outside - own)
    for statement in scope.body:
        nodes = list(_inside(statement))
        if isinstance(statement, ast.Assign) and not _ticks(statement.value, held):  # the name holds something else now
            held -= {name for target in statement.targets for name in _names(target)}
        while new := {name for node in nodes for name in _holders(node, held)} - held:
            held |= new
        for node in nodes:
            claim = [node.test] if isinstance(node, ast.Assert) else []
            if isinstance(node, ast.Call) and _dotted(node.func).endswith(".check"):
                claim = [*node.args, *(word.value for word in node.keywords)]
            if any(_ticks(part, held) for part in claim):
                found.add((node.lineno, ast.unparse(node).partition("\n")[0]))
            if isinstance(node, Function):
                _follow(node, held, found)
    return held


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those in it, but not in functions, which are scopes of their own."""
    yield node
    for child in ast.iter_child_nodes(node) if not isinstance(node, Function) else ():
        yield from _inside(child)


def _holders(node: ast.AST, held: Set[str]) -> Iterator[str]:
    """The names to which a statement or expression gives a clock's value."""
    if isinstance(node, ast.Assign) and _ticks(node.value, held):
        yield from (name for target in node.targets for name in _names(target))
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.For):
        value = node.iter if isinstance(node, ast.For) else node.value
        yield from _names(node.target) if value and _ticks(value, held) else ()
    elif isinstance(node, ast.Dict):
        items = zip(node.keys, node.values, strict=True)
        yield from (f".{key.value}" for key, value in items if isinstance(key, ast.Constant) and _ticks(value, held))
    elif isinstance(node, ast.Call):
        yield from (f".{word.arg}" for word in node.keywords if word.arg and _ticks(word.value, held))
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("append", "add", "extend"):
            yield from _names(node.func.value) if any(_ticks(value, held) for value in node.args) else ()
    elif isinstance(node, Function):
        within = _follow(node, held, set())
        yield from (name for name in within if name.startswith("."))
        returns = (n.value for part in node.body for n in _inside(part) if isinstance(n, ast.Return))
        if any(value and _ticks(value, within) for value in returns):
            yield node.name


def _names(target: ast.AST) -> Iterator[str]:
    """What an assignment gives a value to."""
    if isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
        yield _name(target) or next(_names(target.value), "")
    for child in ast.iter_child_nodes(target) if isinstance(target, ast.Tuple | ast.List | ast.Starred) else ():
        yield from _names(child)


def _ticks(node: ast.AST, held: Set[str]) -> bool:
    """True if a clock's value is part of an expression; a dict has none, since each of its keys is known alone."""
    if isinstance(node, ast.Dict | ast.Lambda):
        return False
    if isinstance(node, ast.Call) and any(_dotted(node.func).endswith(f".{clock}") for clock in CLOCKS):
        return True
    for loop in getattr(node, "generators", ()):  # of a comprehension
        if _ticks(loop.iter, held):
            held = held | set(_names(loop.target))
    name = _name(node)
    if name in held or (name.startswith(".") and SECONDS.fullmatch(name[1:])):
        return True
    called = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    parts = [n.value if n is called and _name(n) not in held else n for n in ast.iter_child_nodes(node)]
    return any(_ticks(part, held) for part in parts)


def _name(node: ast.AST) -> str:
    """`a` for a variable, `.a` for x.a and x["a"], "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return f".{node.slice.value}"
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ""


def _dotted(node: ast.AST) -> str:
    """`.time.time` of that expression; "" of what is not a name."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return f".{node.id}" if isinstance(node, ast.Name) else ""
