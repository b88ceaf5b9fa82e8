"""A function compiled again from its source, with the names and the flags of the code that runs.

What changes a function before a trace (`symcnn.frontends.torch.selects`) changes its syntax tree.
The law: a tree that, unchanged, compiles to the code that runs is the source of that code; of any
other source (decorated into another function, edited since, of a lambda) nothing is said.

A forward reaches thousands of functions and runs a few. So a function is compiled when it is first
called: until then `in_front` stands in its place, which takes the same arguments.
"""

from __future__ import annotations
import __future__ as features

import ast
import dis
import inspect
import linecache
import operator
import textwrap
from collections.abc import Callable
from functools import lru_cache, reduce
from types import CodeType

_FUTURE = reduce(
    operator.or_, (getattr(features, name).compiler_flag for name in features.all_feature_names)
)


def instruction(expression: str) -> bytes:
    """The instruction that works out an operation of two names, as it stands in bytecode."""
    steps = dis.get_instructions(compile(expression, "", "eval"))
    found = next(step for step in steps if step.opname.startswith("BINARY_"))
    return bytes((found.opcode, found.arg or 0))


def has(code: CodeType, one: bytes) -> bool:
    """Whether an instruction stands in the code."""
    units = code.co_code
    place = units.find(one)
    while place % 2 and place > 0:
        place = units.find(one, place + 1)
    return place >= 0


def definition(code: CodeType) -> ast.FunctionDef | None:
    """The syntax tree of the function whose code it is; None where the source is another one.

    Annotated assignments of local names are plain ones there.
    """
    try:
        lines, start = inspect.getsourcelines(code)
        (tree,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (OSError, SyntaxError, ValueError, TypeError):
        return None
    if not isinstance(tree, ast.FunctionDef) or _is_mangled(tree):
        return None
    tree.decorator_list = []
    ast.increment_lineno(tree, start - 1)
    found = compiled(tree, code)
    if found is None or not _same(found, code):
        return None
    _Plain().generic_visit(tree)
    return tree


class _Plain(ast.NodeTransformer):
    """Python evaluates no annotation of a local name: such an assignment is a plain one."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None or not isinstance(node.target, ast.Name):
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node  # whose annotations are values


def _is_mangled(tree: ast.AST) -> bool:
    """Whether names of its class stand in it, which only the class spells out."""
    names = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    names += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name)]
    return any(n.startswith("__") and not n.endswith("__") for n in names)


def compiled(tree: ast.FunctionDef, code: CodeType) -> CodeType | None:
    """The code of a function definition, with the free names of another code."""
    outer = ast.parse(f"def outer({', '.join(code.co_freevars)}): pass").body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.body = [tree]
    # python compiles a call of an attribute of what a file imports in another way
    imports = [ast.Import([ast.alias(name)]) for name in _imported(code.co_filename)]
    module = ast.fix_missing_locations(ast.Module([*imports, outer], []))
    flags = code.co_flags & _FUTURE
    made = compile(module, code.co_filename, "exec", flags=flags, dont_inherit=True)
    inside = next(c for c in made.co_consts if type(c) is CodeType)
    named = [c for c in inside.co_consts if type(c) is CodeType and c.co_name == tree.name]
    same = [c for c in named if c.co_freevars == code.co_freevars]
    return same[0] if len(same) == 1 else None


@lru_cache(maxsize=4)
def parsed(file: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse("".join(linecache.getlines(file)))


@lru_cache(maxsize=256)
def _imported(file: str) -> tuple[str, ...]:
    """The names that a file imports."""
    found: dict[str, None] = {}
    stack: list[ast.AST] = [parsed(file)]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            found.update(dict.fromkeys(name for name in names if name != "*"))
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            stack += ast.iter_child_nodes(node)
    return tuple(found)


def in_front(code: CodeType, call: Callable[..., object]) -> CodeType | None:
    """The code of a function of the same arguments that hands them to `call`; None for the code of
    a generator.
    """
    if code.co_flags & _GENERATORS:
        return None
    made = _handing_on(
        code.co_varnames[: _counted(code)],
        code.co_posonlyargcount,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS),
        code.co_freevars,
    )
    return made.replace(
        co_consts=tuple(call if c == _CALL else c for c in made.co_consts),
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
    )


_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_CALL = "what is called"


def _counted(code: CodeType) -> int:
    stars = code.co_flags & inspect.CO_VARARGS, code.co_flags & inspect.CO_VARKEYWORDS
    return code.co_argcount + code.co_kwonlyargcount + sum(map(bool, stars))


@lru_cache(maxsize=256)
def _handing_on(
    names: tuple[str, ...], before: int, count: int, by_name: int, stars: int, free: tuple[str, ...]
) -> CodeType:
    """The code of ``def f(a, /, b, *args, c, **kwargs): return call(a, b, *args, c=c, **kwargs)``:
    of names in the order of a code's variables, with the free names of that.
    """
    args, only = list(names[:count]), names[count : count + by_name]
    rest = list(names[count + by_name :])
    row = f"*{rest.pop(0)}" if stars & inspect.CO_VARARGS else ""
    words = f"**{rest.pop(0)}" if stars & inspect.CO_VARKEYWORDS else ""
    slash = ["/"] if before else []
    bare = ["*"] if only and not row else []
    takes = [*args[:before], *slash, *args[before:], row, *bare, *only, words]
    gives = [*args, row, *(f"{n}={n}" for n in only), words]
    taken, given = (", ".join(filter(None, part)) for part in (takes, gives))
    outer = f"def outer({', '.join(free)}):\n def f({taken}):\n"
    text = f"{outer}  if 0: {', '.join(free) or 'pass'}\n  return [{_CALL!r}][0]({given})"
    code = compile(text, "", "exec")
    for _ in "12":
        code = next(c for c in code.co_consts if type(c) is CodeType)
    return code


def _same(a: CodeType, b: CodeType) -> bool:
    """Whether two codes do the same."""
    inner = [[c for c in code.co_consts if type(c) is CodeType] for code in (a, b)]
    return (
        (a.co_code, a.co_names, a.co_varnames, a.co_cellvars)
        == (b.co_code, b.co_names, b.co_varnames, b.co_cellvars)
        and len(inner[0]) == len(inner[1])
        and all(map(_same, *inner))
    )
