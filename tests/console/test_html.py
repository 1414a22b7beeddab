"""Markup: what is text stays text."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.observe.console.html import Markup, document, element, path

div, a, link = element("div"), element("a"), element("link")


class Collected(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        """Read the page."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Collect."""
        self.text += data


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(TEXT, TEXT)
def test_whatever_is_said_is_text(text: str, title: str) -> None:
    """No text and no attribute's value makes an element or ends one."""
    page = Collected(str(div(text, title=title)))
    assert page.tags == [("div", {"title": title})]
    assert page.text == text


def test_markup_that_was_joined_is_text_again() -> None:
    """Who formats markup into a string sees it escaped, and so notices."""
    assert str(div(f"{div('x')}")) == "<div>&lt;div&gt;x&lt;/div&gt;</div>"


def test_nobody_else_makes_markup() -> None:
    """There is no way from a string to markup but through an element."""
    with pytest.raises(AssertionError):
        Markup(object(), "<b>")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://elsewhere.example/", "data:text/html,x", ""])
def test_links_lead_nowhere_else(address: str) -> None:
    """Every link begins at this server."""
    with pytest.raises(ValueError, match="leads away"):
        a("x", href=address)


def test_children_of_all_kinds() -> None:
    """Nothing, numbers and lists within lists go in; void elements have no end; what is None or False is no attribute."""
    assert str(div(None, 1, [2.5, ["<", div()]], hidden=True, title=None, lang=False)) == "<div hidden>12.5&lt;<div></div></div>"
    assert str(link(rel="icon", href="/i")) == '<link rel="icon" href="/i">'
    assert document(div()) == b"<!doctype html>\n<div></div>\n"


def test_addresses_are_quoted() -> None:
    """Slashes, questions and whatever a topic or key holds stay within their part."""
    assert path("sessions", "a/b?c", 3, query={"text": "x&y", "state": ""}) == "/sessions/a%2Fb%3Fc/3?text=x%26y"
