"""What may be altered in a module, one thing at a time: its mutants.

In: the source of a module. Out: mutants, each with a name that says where and what: the outermost function, the line as it is written, and
the alteration. So a name outlives whatever moves around its line, and dies with the line.

Left alone is what no behaviour hangs on: docstrings, annotations, how classes are laid out, sentences for people, and the words of an
exception. Assertions stay too: they say what cannot be, so no test could tell whether they are there.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

OTHERS: Final[dict[type, type]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
NEIGHBOURS: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "popleft": "pop", "appendleft": "append"}
TYPES_ONLY: Final = {"NewType", "TypeVar", "cast"}
UNTOUCHED_FIELDS: Final = {"annotation", "returns", "decorator_list", "bases", "keywords"}
LEFT_OUT: Final = (ast.Expr, ast.AugAssign, ast.Delete, ast.Raise)
NO_CASE: Final = ast.match_case(ast.MatchAs(), None, [ast.Pass()])


@dataclass(frozen=True)
class Mutant:
    """A module with one alteration."""

    name: str
    function: str  # the outermost one around it, as Python qualifies it; empty: what runs when the module is imported
    lines: range  # that a test must run to notice it
    tree: ast.Module  # altered only until the next mutant is asked for


@dataclass(frozen=True)
class Place:
    """Something that may be altered: a field of another thing, or an entry of one."""

    node: Any
    parent: Any
    field: str
    index: int | None
    function: str
    statement: int  # the line where the statement around it begins

    def given_to(self, other: ast.AST) -> "Alteration":
        """Another thing takes this place."""
        other = ast.copy_location(other, self.node)
        if self.index is None:
            return self.node, self.parent, self.field, other
        return self.node, self.parent, self.field, with_entry(getattr(self.parent, self.field), self.index, other)


Alteration = tuple[Any, Any, str, Any]  # where it is seen; whose field is altered, which one, and what it becomes


def mutants_of(source: str) -> Iterator[Mutant]:
    """Each of them, in the order of the source."""
    tree = ast.parse(source)
    lines = source.splitlines()
    seen: Counter[str] = Counter()
    for place in list(places(tree)):
        for what, (at, node, field, value) in alterations(place):
            line = lines[at.lineno - 1].split("  # ")[0].strip()
            name = f"{place.function or 'module'}: {line} [{what}]"
            seen[name] += 1
            number = "" if seen[name] == 1 else f" #{seen[name]}"
            sound = getattr(node, field)
            setattr(node, field, value)
            yield Mutant(name + number, place.function, range(place.statement, at.lineno + 1), tree)
            setattr(node, field, sound)


def places(node: ast.AST, prefix: str = "", function: str = "", statement: int = 1) -> Iterator[Place]:
    """Whatever may be altered below a node."""
    for field, value in ast.iter_fields(node):
        if field in UNTOUCHED_FIELDS and not isinstance(node, ast.Call):
            continue
        for index, entry in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(entry, ast.AST) or is_untouched(entry):
                continue
            within = function or (prefix.removesuffix(".") if isinstance(node, ast.FunctionDef) and field == "body" else "")
            begins = entry.lineno if isinstance(entry, ast.stmt) else statement
            yield Place(entry, node, field, index if isinstance(value, list) else None, within, begins)
            if not isinstance(entry, ast.Raise):
                inner = f"{prefix}{entry.name}." if isinstance(entry, ast.FunctionDef | ast.ClassDef) else prefix
                yield from places(entry, inner, within, begins)


def is_untouched(node: ast.AST) -> bool:
    """Whether nothing is altered in it."""
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in TYPES_ONLY
        case ast.Assign(targets=[ast.Name(id="__slots__" | "__all__")]):
            return True
    return False


def alterations(place: Place) -> Iterator[tuple[str, Alteration]]:  # noqa: C901, PLR0912  # one case for each kind of thing
    """What may be altered there, in words, and how it is done."""
    node = place.node
    match node:
        case ast.Compare(ops=operators):
            for index, operator in enumerate(operators):
                yield opposite(operator), (node, node, "ops", with_entry(operators, index, OTHERS[type(operator)]()))
        case ast.BoolOp(op=operator, values=values):
            yield opposite(operator), (node, node, "op", OTHERS[type(operator)]())
            for index, value in enumerate(values):
                rest = values[:index] + values[index + 1 :]
                alone = place.given_to(rest[0]) if len(rest) == 1 else (node, node, "values", rest)
                yield f"without {ast.unparse(value)}", (value, *alone[1:])
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in OTHERS:
            yield opposite(operator), (node, node, "op", OTHERS[type(operator)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield f"{ast.unparse(operand)} alone", place.given_to(operand)
        case ast.Constant(value=bool(value)):
            yield f"{not value}", (node, node, "value", not value)
        case ast.Constant(value=int(value) | float(value)):
            yield f"{value} → {value + 1}", (node, node, "value", value + 1)
        case ast.Constant(value=str(value)) if value and " " not in value:
            yield f"another text than {value!r}", (node, node, "value", value + "!")
        case ast.Constant(value=bytes(value)) if value:
            yield f"other bytes than {value!r}", (node, node, "value", value + b"!")
        case ast.Name(id=name) if name in NEIGHBOURS:
            yield f"{name} → {NEIGHBOURS[name]}", (node, node, "id", NEIGHBOURS[name])
        case ast.Attribute(attr=name) if name in NEIGHBOURS:
            yield f"{name} → {NEIGHBOURS[name]}", (node, node, "attr", NEIGHBOURS[name])
        case ast.Dict(values=values) if len(values) > 1:
            for index, value in enumerate(values):
                if ast.dump(value) != ast.dump(values[index - 1]):
                    yield f"{ast.unparse(values[index - 1])} instead", (value, node, "values", with_entry(values, index, values[index - 1]))
        case ast.Match(cases=cases):
            for index, case in enumerate(cases):
                if not isinstance(case.pattern, ast.MatchAs):  # the last one, which is there for those who check types
                    yield "without this case", (case.pattern, node, "cases", cases[:index] + cases[index + 1 :] or [NO_CASE])
        case ast.Return(value=ast.AST() as value) if not isinstance(value, ast.Constant):
            yield "returns None", (node, node, "value", ast.copy_location(ast.Constant(None), value))
        case ast.Continue():
            yield "break", place.given_to(ast.Break())
        case ast.Break():
            yield "continue", place.given_to(ast.Continue())
    if isinstance(node, LEFT_OUT) or (isinstance(node, ast.Assign) and place.function):
        yield "left out", place.given_to(ast.Pass())
    if place.field in {"test", "ifs", "guard"} and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
        yield f"not {ast.unparse(node)}", place.given_to(ast.UnaryOp(ast.Not(), node))


def with_entry(entries: list[Any], index: int, entry: Any) -> list[Any]:
    """The same entries but for one."""
    return [*entries[:index], entry, *entries[index + 1 :]]


def opposite(operator: ast.AST) -> str:
    """An operator and what takes its place, in words."""
    return f"{type(operator).__name__} → {OTHERS[type(operator)].__name__}"
