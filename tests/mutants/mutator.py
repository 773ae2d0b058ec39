"""Mutants: the same source with one small fault in it, as somebody might have written it. Pure: text in, texts out.

A fault is one of: another comparison, another operator, `and` for `or`, a condition turned round, a number that is one
more, a text that is another one, True for False, an argument or a statement left out, `None` returned. What only
documents (docstrings, annotations, messages of `raise`, sentences) is left alone: nobody depends on it.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

Place = tuple[ast.AST, str, int | None]
"""A node's parent, the parent's field, and the index where that is a list."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``line`` is the first line of what is changed, counted from 1; ``before`` and ``after`` are the changed piece as
    one line; ``source`` makes the whole file with it: dear, so only for those that are tried, and one at a time."""

    line: int
    before: str
    after: str
    source: Callable[[], str]


def mutants_of_python(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    _mark_what_documents(tree)
    found = []
    for node, field, index in list(_places(tree)):
        original = getattr(node, field) if index is None else getattr(node, field)[index]
        for changed in _faults(node, field, original):
            source = partial(_unparsed, tree, (node, field, index), original, changed)
            found.append(Mutant(original.lineno, _one_line(original), _one_line(changed), source))
    return sorted(found, key=lambda mutant: mutant.line)


_LOOKS = re.compile(r"^\s*({#.*#}|#.*)?\s*$")
_CONDITION = re.compile(r"{%-?\s*(?:if|elif)\s+(.*?)\s*-?%}")


def mutants_of_template(source: str) -> list[Mutant]:
    """All mutants of a Jinja2 template: each line left out that says something, each condition turned round."""
    lines, found = source.splitlines(keepends=True), []
    for at, line in enumerate(lines):
        if _LOOKS.match(line):
            continue
        if condition := _CONDITION.search(line):
            turned = line.replace(condition[1], f"not ({condition[1]})", 1)
            source = partial("".join, [*lines[:at], turned, *lines[at + 1 :]])
            found.append(Mutant(at + 1, line.strip(), turned.strip(), source))
        elif "{%" not in line:
            found.append(Mutant(at + 1, line.strip(), "", partial("".join, [*lines[:at], *lines[at + 1 :]])))
    return found


def _unparsed(tree: ast.AST, place: Place, original: ast.AST, changed: ast.AST) -> str:
    _put(*place, changed)
    text = ast.unparse(ast.fix_missing_locations(tree))
    _put(*place, original)
    return text


def _put(node: ast.AST, field: str, index: int | None, value: ast.AST) -> None:
    if index is None:
        setattr(node, field, value)
    else:
        getattr(node, field)[index] = value


def _one_line(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 160 else text[:159] + "…"


def _mark_what_documents(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    statement.value.documents = True  # type: ignore[attr-defined]
        for part in _documenting(node):
            for inner in ast.walk(part):
                inner.documents = True  # type: ignore[attr-defined]


def _documenting(node: ast.AST) -> Iterator[ast.AST]:
    """Parts that nobody depends on: annotations, what is logged, what an exception says, type variables."""
    match node:
        case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation) if annotation is not None:
            yield annotation
        case ast.FunctionDef(returns=returns) | ast.AsyncFunctionDef(returns=returns) if returns is not None:
            yield returns
        case ast.Raise(exc=ast.Call(args=arguments)):
            yield from arguments
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log"))):
            yield node
        case ast.Call(func=ast.Name(id="TypeVar" | "NewType" | "cast")):
            yield node
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assign(targets=[ast.Name(id="__all__")]):
            yield node
        case ast.ClassDef(decorator_list=decorators):  # frozen, slots: against slips of programmers, which types find
            yield from decorators


def _places(tree: ast.AST) -> Iterator[Place]:
    """Every expression and statement as parent, field and index, but those that document."""
    for node in ast.walk(tree):
        if getattr(node, "documents", False):
            continue
        for field, value in ast.iter_fields(node):
            if field in ("decorator_list", "type_params", "annotation", "returns"):
                continue
            if isinstance(value, ast.expr | ast.stmt):
                yield node, field, None
            elif isinstance(value, list):
                yield from ((node, field, at) for at, one in enumerate(value) if isinstance(one, ast.expr | ast.stmt))


_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE,),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE,),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


def _faults(parent: ast.AST, field: str, node: ast.AST) -> Iterator[ast.AST]:  # noqa: PLR0912 - a row for each fault
    if getattr(node, "documents", False):
        return
    changed = copy.copy(node)
    match node:
        case ast.Compare(ops=[operator, *others]):
            for other in _COMPARISONS[type(operator)]:
                yield _with(changed, ops=[other(), *others])
        case ast.BoolOp(op=operator):
            yield _with(changed, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.BinOp(op=operator, left=left) if type(operator) in _OPERATORS and not isinstance(left, ast.Constant):
            yield _with(changed, op=_OPERATORS[type(operator)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield _with(changed, value=not value)
        case ast.Constant(value=int() | float() as value):
            yield _with(changed, value=value + 1)
        case ast.Constant(value=str() as value) if value and not _is_prose(value) and type(parent) is not ast.JoinedStr:
            yield _with(changed, value=f"{value}XX")
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield _with(changed, value=ast.Constant(None))
        case ast.Call(keywords=[*keywords]) if keywords:
            for at, keyword in enumerate(keywords):
                if keyword.arg is not None:
                    yield _with(copy.copy(node), keywords=[*keywords[:at], *keywords[at + 1 :]])
        case ast.Expr(value=ast.Call() | ast.Await() as value) if not getattr(value, "documents", False):
            yield ast.copy_location(ast.Pass(), node)
        case ast.AugAssign() | ast.Continue():
            yield ast.copy_location(ast.Pass(), node)
        case ast.IfExp(body=body, orelse=otherwise):
            yield _with(changed, body=otherwise, orelse=body)
    is_condition = (isinstance(parent, ast.If | ast.While | ast.IfExp) and field == "test") or field == "ifs"
    if is_condition and isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.NamedExpr):
        yield ast.copy_location(ast.UnaryOp(ast.Not(), node), node)  # type: ignore[arg-type]


def _is_prose(text: str) -> bool:
    """A sentence for people: a slip of the pen in it is no fault of the program."""
    return len(text.split()) > 2


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
