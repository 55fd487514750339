"""Mutants of a source file: copies with one small fault each, by syntax tree.

Left alone: docstrings, annotations, imports, assertions (for the type checker), sentences (a string with a space in
it), `strict=` of a zip, `device=` (tests have a CPU only), `@abstractmethod`, and protocols, whose bodies are empty.
"""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
}
PAIRS = ((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn))
COMPARED = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}

SKIPPED = ("strict", "device")


@dataclass(frozen=True)
class Mutant:
    """``where`` is the outermost function that holds the fault, or "" (a constant, a default, a decorator)."""

    file: Path
    number: int
    key: str
    line: int
    where: str
    lines: range

    def code(self) -> CodeType:
        """The module with the fault, compiled."""
        source = self.file.read_text()
        tree = Walk(source, self.number).changed
        return compile(ast.fix_missing_locations(tree), str(self.file), "exec")


def mutants(file: Path) -> list[Mutant]:
    """Every mutant of a file, by line; keys stay when other lines change."""
    seen: Counter[str] = Counter()
    made = []
    for number, (line, where, text, lines) in enumerate(Walk(file.read_text()).found):
        seen[text] += 1
        made.append(Mutant(file, number, f"{text}  #{seen[text]}" if seen[text] > 1 else text, line, where, lines))
    return made


class Walk(ast.NodeTransformer):
    """Finds the faults of a source; makes the one of a ``number``."""

    def __init__(self, source: str, number: int | None = None) -> None:
        self.number, self.found = number, []
        self.names: list[str] = []
        self.function: ast.AST | None = None
        self.statement: ast.AST | None = None
        self.tree = ast.parse(source)
        self.changed = self.visit(self.tree)

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt) and not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            self.statement = node
        if _skipped(node):
            return node
        for other, of in _faults(node, self.function is not None):
            if self._take(node, other):
                return other if of is None else of
        if isinstance(node, ast.FunctionDef):
            return self._function(node)
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        if isinstance(node, ast.AnnAssign):
            node.value = node.value and self.visit(node.value)
            return node
        if isinstance(node, ast.Raise):
            return node
        return self.generic_visit(node)

    def _take(self, node: ast.AST, other: ast.AST) -> bool:
        held = self.function or node
        lines = range(held.lineno, (held.end_lineno or held.lineno) + 1) if self.function else range(0)
        near = self.statement if isinstance(self.statement, ast.stmt) else node
        text = f"{'.'.join(self.names)}: {ast.unparse(near).splitlines()[0][:70]}: {_short(node)} -> {_short(other)}"
        where = ".".join(self.names) if self.function is not None and not isinstance(node, ast.FunctionDef) else ""
        self.found.append((node.lineno, self._outermost if where else "", text, lines))
        return self.number == len(self.found) - 1

    @property
    def _outermost(self) -> str:
        return ".".join(self.names[: self.depth])

    def _function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.names.append(node.name)
        outer = self.function
        for defaults in (node.args.defaults, node.args.kw_defaults):
            self.statement = node.args
            for i, default in enumerate(defaults):
                if default is not None:
                    defaults[i] = self.visit(default)
        if outer is None:
            self.function, self.depth = node, len(self.names)
        node.body = [self.visit(part) for part in node.body]
        self.function = outer
        self.names.pop()
        return node

    def _class(self, node: ast.ClassDef) -> ast.ClassDef:
        if any("Protocol" in ast.unparse(base) for base in node.bases):
            return node
        self.names.append(node.name)
        node.body = [self.visit(part) for part in node.body]
        self.names.pop()
        return node


def _skipped(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and " " in node.value
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__" or "TypeVar" in ast.unparse(node.value)
    if isinstance(node, ast.keyword):
        return node.arg in SKIPPED
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert, ast.JoinedStr, ast.Delete))


def _faults(node: ast.AST, inside: bool) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """Yield what stands for the node, and where that is written otherwise, the node to put there."""

    def other(**changes: Any) -> ast.AST:
        made = copy.deepcopy(node)
        for name, value in changes.items():
            setattr(made, name, value)
        return made

    match node:
        case ast.BinOp() | ast.AugAssign() if type(node.op) in BINARY:
            yield other(op=BINARY[type(node.op)]()), None
        case ast.Compare():
            for i, op in enumerate(node.ops):
                yield other(ops=[*node.ops[:i], COMPARED[type(op)](), *node.ops[i + 1 :]]), None
        case ast.BoolOp():
            yield other(op=ast.Or() if isinstance(node.op, ast.And) else ast.And()), None
        case ast.UnaryOp():
            yield node.operand, None
        case ast.Constant(value=bool()):
            yield other(value=not node.value), None
        case ast.Constant(value=int() | float()):
            yield other(value=node.value + 1), None
        case ast.Constant(value=str()):
            yield other(value=f"XX{node.value}XX"), None
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield other(value=ast.Constant(None)), None
        case ast.Assign(targets=[target]) if inside and not isinstance(target, ast.Tuple) and not _is_none(node.value):
            yield other(value=ast.Constant(None)), None
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            if not isinstance(node.test, ast.Constant):
                yield other(test=ast.UnaryOp(ast.Not(), node.test)), None
        case ast.Continue():
            yield ast.copy_location(ast.Break(), node), None
        case ast.Break():
            yield ast.copy_location(ast.Continue(), node), None
        case ast.Call() if ast.unparse(node.func) not in ("isinstance", "max", "min"):
            a = node.args
            if len({ast.unparse(part) for part in a[:2]}) > 1 and not any(isinstance(part, ast.Starred) for part in a):
                yield other(args=[a[1], a[0], *a[2:]]), None
            for i, keyword in enumerate(node.keywords):
                if keyword.arg not in (None, *SKIPPED):
                    yield other(keywords=node.keywords[:i] + node.keywords[i + 1 :]), None
        case ast.FunctionDef() | ast.ClassDef():
            for i, decorator in enumerate(node.decorator_list):
                if ast.unparse(decorator) == "abstractmethod":
                    continue
                left = node.decorator_list[:i] + node.decorator_list[i + 1 :]
                yield decorator, other(decorator_list=left)
    if isinstance(node, (ast.AugAssign, ast.Raise)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield ast.copy_location(ast.Pass(), node), None


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _short(node: ast.AST) -> str:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return f"def {node.name}"
    return " ".join(ast.unparse(node).split())[:80]
