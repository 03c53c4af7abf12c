"""What only the source text of a class or a function says: annotations as written, and the docstrings of fields."""

import ast
import inspect
import re
from collections.abc import Callable
from textwrap import dedent
from typing import Any, NamedTuple

_TENSOR = re.compile(r"Annotated\[Tensor( \| None)?, shaped\(torch\.(\w+),? ?(.*?)\)\]")


class Field(NamedTuple):
    """A field of a class: its annotation and its default as they are written, and its own docstring, if any."""

    name: str
    annotation: str
    default: str
    text: str


def fields_of(owner: type[Any]) -> list[Field]:
    """Return the fields that a class declares itself, in their order."""
    (tree,) = ast.parse(dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    found: list[Field] = []
    for node, after in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = ast.unparse(node.value) if node.value else ""
            found.append(Field(node.target.id, _annotation(node.annotation), default, _docstring(after)))
    return found


def signature_of(function: Callable[..., Any]) -> str:
    """Return the first line of a function's definition, exactly as it is declared."""
    (tree,) = ast.parse(dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    returns = f" -> {ast.unparse(tree.returns)}" if tree.returns else ""
    return f"def {tree.name}({ast.unparse(tree.args)}){returns}:".replace("'", '"')


def _annotation(node: ast.expr) -> str:
    """Return an annotation; a tensor's is its dtype and its sizes."""
    return _TENSOR.sub(_tensor, ast.unparse(node)).replace("'", '"')


def _tensor(match: re.Match[str]) -> str:
    optional, dtype, sizes = match.groups()
    return f"{dtype} [{sizes.replace(chr(39), '')}]{optional or ''}"


def _docstring(node: ast.stmt) -> str:
    text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
    return inspect.cleandoc(text) if isinstance(text, str) else ""
