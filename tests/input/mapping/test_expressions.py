"""Compiled JMESPath says what the library's own interpreter says."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from relay.input.mapping.expressions import BadExpression, Failed, compile_expression, fields_of

EVENT: dict[str, Any] = {
    "type": "playing",
    "n": 0,
    "one": 1,
    "half": 0.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "empty": "",
    "none": [],
    "void": {},
    "a": {"b": {"c": "deep"}, "n": 3, "true": True},
    "list": [1, 2, [3, [4]], None, "x", {"a": 1}, {"a": None}, True],
    "people": [{"name": "b", "age": 30, "tags": ["x"]}, {"name": "a", "age": 20, "tags": []}, {"name": "c", "age": 0}, "no object"],
    "of": {"x": {"v": 1}, "y": {"v": 2}, "z": 3},
    "quoted name": {"with.dot": 1},
}

CASES = [
    "type",
    "a",
    "a.b",
    "a.b.c",
    "a.b.c.d",
    "missing",
    "missing.b",
    "list.a",
    '"quoted name"."with.dot"',
    "@",
    "@.type",
    "list[0]",
    "list[-1]",
    "list[99]",
    "type[0]",
    "list[2][1][0]",
    "list[1:3]",
    "list[::-1]",
    "type[1:]",
    "list[?a]",
    "list[]",
    "list[*].a",
    "people[*].name",
    "people[].tags[]",
    "people[*].tags[0]",
    "of.*.v",
    "of.*",
    "type.*",
    "missing[*]",
    "type[*]",
    "people[?age > `10`].name",
    "people[?age == `0`]",
    "people[?name == 'a'] | [0].age",
    "people[?!tags]",
    "people[?tags && age]",
    "type == 'playing'",
    "type != 'playing'",
    "n == `0`",
    "n == `false`",
    "one == `true`",
    "yes == `true`",
    "yes == `1`",
    "no == `0`",
    "nothing == `null`",
    "missing == `null`",
    "half < `1`",
    "half >= `0.5`",
    "type > 'a'",
    "type > `1`",
    "yes < `2`",
    "a == a",
    "list == list",
    "n && 'x'",
    "n || 'x'",
    "empty || 'x'",
    "none || 'x'",
    "void || 'x'",
    "no || nothing",
    "!n",
    "!empty",
    "!none",
    "!void",
    "!yes",
    "!a",
    "type == 'x' || type == 'playing' && !no",
    "(type || n) && half",
    "[type, n]",
    "{t: type, x: missing}",
    "a.{q: n, r: b.c}",
    "missing.[a]",
    "length(type)",
    "length(list)",
    "keys(of)",
    "join('-', [type, 'x'])",
    "to_string(n)",
    "to_number('1.5')",
    "to_number('x')",
    "contains(type, 'lay')",
    "contains(list, `1`)",
    "starts_with(type, 'play')",
    "not_null(missing, nothing, n)",
    "type(half)",
    "merge(a, of)",
    "sort_by(people[:2], &age)[0].name",
    "max_by(people[:3], &age).name",
    "map(&age, people[:2])",
    "sum(people[:3].age)",
    "abs(half)",
    "sum(people[:3][].age)",
    "avg([one, half])",
    "floor(half)",
    "values(of)",
    "reverse(list)",
    "to_array(n)",
    "items(a)",
    "`[1, 2]`[0]",
    "people | [0]",
    "people[0] | name",
    "list[*] | [0]",
    "a.b | c",
    "'text'",
    '`{"a": 1}`.a',
    "length(n)",
    "join('-', list)",
    "abs(type)",
]


def both(text: str, event: Any) -> tuple[Any, Any]:
    """What the library says, and what the compiled expression says; "failed" where it fails."""
    try:
        theirs = jmespath.compile(text).search(event)
    except JMESPathError:
        theirs = "failed"
    except TypeError:  # it compares text with a number, where the language says null
        theirs = None
    try:
        ours = compile_expression(text)(event)
    except (BadExpression, Failed):
        ours = "failed"
    return theirs, ours


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("event", [EVENT, {}, {"a": [], "list": {}, "people": "x", "type": 1, "of": None}], ids=["full", "empty", "odd"])
def test_an_expression_says_what_the_interpreter_says(text: str, event: dict[str, Any]) -> None:
    """Values, types and failures alike."""
    theirs, ours = both(text, event)
    assert repr(ours) == repr(theirs)


names = st.sampled_from(["type", "a", "b", "list", "people", "name", "age", "n", "yes", "of", "missing"])
leaves = st.one_of(names, st.sampled_from(["'x'", "`1`", "`0`", "`true`", "`null`", "`[]`", "@"]))


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of expressions."""
    return st.one_of(
        st.builds("{}.{}".format, names, names),
        st.builds("({}).{}".format, inner, names),
        st.builds("({})[{}]".format, inner, st.integers(-2, 2)),
        st.builds("({})[*].{}".format, inner, names),
        st.builds("({})[].{}".format, inner, names),
        st.builds("({}).*".format, inner),
        st.builds("({})[?{}]".format, inner, inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["&&", "||", "==", "!=", "<", ">=", "|"]), inner),
        st.builds("!({})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{x: {}}}".format, inner),
        st.builds("not_null({}, {})".format, inner, inner),
        st.builds("length({})".format, inner),
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x", "type"]), st.floats(-1, 1)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["type", "a", "b", "list", "name", "n", "of"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(text=st.recursive(leaves, grow, max_leaves=8), event=json_values)
def test_any_expression_says_what_the_interpreter_says(text: str, event: Any) -> None:
    """Whatever the expression, and whatever the event."""
    theirs, ours = both(text, event)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("text", ["", "a.", "a b", "nosuch(a)", "&a", "a[", "'open", "{a}", "a || ", "a = b"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    """When it is compiled, not when an event comes; in one line."""
    with pytest.raises(BadExpression) as raised:
        compile_expression(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("a.b.c", {"a"}),
        ("a || b[0].c", {"a", "b"}),
        ("people[?age > `1`].name | [0]", {"people"}),
        ("join('-', [a, b.c])", {"a", "b"}),
        ("map(&x, list)", {"list"}),
        ("'text'", set()),
        ("@", None),
        ("[?a]", None),
        ("{x: a, y: @}", None),
    ],
)
def test_it_is_known_what_an_expression_looks_at(text: str, members: set[str] | None) -> None:
    """The members of the event, or the event as a whole."""
    assert fields_of(text) == members
