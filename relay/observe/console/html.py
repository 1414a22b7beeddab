"""HTML that cannot be forged: text is escaped wherever it is put in, and only elements made here go in as they are.

In: names of elements, attributes, children. Out: `Markup`. There is no way to make a `Markup` out of a string: whoever joins or formats
one gets a plain string, which is escaped again, and shows at once. Scripts and styles are files, never text within a page.
"""

from collections.abc import Callable, Iterable
from html import escape
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

_MAKER: Final = object()
_VOID: Final = frozenset({"meta", "link", "input", "br"})
_LINKS: Final = frozenset({"href", "src", "action"})


class Markup:
    """Text that is HTML already."""

    __slots__ = ("_text",)

    def __init__(self, maker: object, text: str) -> None:
        """Only this module makes any."""
        assert maker is _MAKER, "escape it by putting it into an element"
        self._text = text

    def __str__(self) -> str:
        """The HTML."""
        return self._text


Child: TypeAlias = "Markup | str | int | float | Iterable[Child] | None"
Attribute: TypeAlias = str | int | float | bool | None
Element: TypeAlias = Callable[..., Markup]


def element(name: str) -> Element:
    """A maker of elements of this name. Attributes: `class_` is class, `aria_label` is aria-label; None and False leave one out."""

    def make(*children: Child, **attributes: Attribute) -> Markup:
        start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
        if name in _VOID:
            return Markup(_MAKER, start)
        return Markup(_MAKER, f"{start}{''.join(map(_escaped, children))}</{name}>")

    return make


def document(root: Markup) -> bytes:
    """A whole page."""
    return f"<!doctype html>\n{root}\n".encode("utf-8", "replace")


def path(*parts: str | int, query: dict[str, str] | None = None) -> str:
    """An address on this server; each part and value is quoted."""
    address = "/" + "/".join(quote(str(part), safe="", errors="surrogatepass") for part in parts)
    given = {name: value for name, value in (query or {}).items() if value}
    return f"{address}?{urlencode(given, errors='surrogatepass')}" if given else address


def _escaped(child: Child) -> str:
    match child:
        case None:
            return ""
        case Markup():
            return str(child)
        case str():
            return escape(child)
        case int() | float():
            return str(child)
        case _:
            return "".join(map(_escaped, child))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = str(value)
    if name in _LINKS and not text.startswith(("/", "#", "?")):
        raise ValueError(f"{name} leads away from here")
    return f' {name}="{escape(text)}"'
