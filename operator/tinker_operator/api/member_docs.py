"""What each member of an enumeration means: the sentence that stands below it in the source.

Python keeps no docstring of a member, so the source is read. The command that writes docs/reference.md calls it.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise


def member_docs(enumeration: type[StrEnum]) -> dict[str, str]:
    """Returns the sentence of each value that has one, in the order of the source, on one line each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(enumeration)))
    (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {str(enumeration[name]): " ".join(text.split()) for name, text in _told(definition)}


def _told(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node, below in pairwise(definition.body):
        match node, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, text
            case _:
                pass
