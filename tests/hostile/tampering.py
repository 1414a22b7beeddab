"""Values that come out of JSON, with something else at some place: for tests of what a reader makes of anything."""

from typing import Any


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in it."""
    found = [path]
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        found += places(member, (*path, name))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The same with something else at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy
