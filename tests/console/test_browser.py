"""The console in a real browser, with a hundred thousand sessions behind it: what people see, with and without scripts, eyes or a mouse.

Needs Chromium, and axe from npm: `apt-get install chromium npm && npm ci --prefix tests/console/axe`. Without them these tests skip; where
`TESTS_BROWSER` is `required` they fail.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from relay.core.events import EventType as E
from relay.core.inputs import Lost, Refused, TryAgain
from relay.observe.logs import hashed

SESSIONS: Final = 100_000
AXE: Final = Path(__file__).parent / "axe"
AXE_SCRIPT: Final = AXE / "node_modules" / "axe-core" / "axe.min.js"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
PHONE: Final = {"width": 360, "height": 740}
DESK: Final = {"width": 1280, "height": 900}
LATE: Final = 'late <b>"player"</b>'
PAGES: Final = {
    "overview": "/",
    "sessions": "/sessions",
    "session": f"/sessions/player-events/0/{hashed(LATE)}",
    "partitions": "/partitions",
    "dead letters": "/dead-letters",
    "openings": "/openings",
    "calls": "/calls",
    "settings": "/settings",
    "not found": "/sessions/x/0/y",
}


def _need(path: str | Path | None, what: str) -> str:
    if path:
        return str(path)
    sentence = f"the browser tests need {what}: apt-get install chromium npm && npm ci --prefix tests/console/axe"
    if os.environ.get("TESTS_BROWSER") == "required":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="module")
def axe() -> str:
    """The accessibility check, fetched once by its own client."""
    if not AXE_SCRIPT.exists() and (npm := shutil.which("npm")):
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--prefix", str(AXE)], check=False, capture_output=True, timeout=60)  # noqa: S603
    return Path(_need(AXE_SCRIPT if AXE_SCRIPT.exists() else None, "axe-core")).read_text("utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all; its own loop runs while it lives, so nothing else here may run one."""
    found = _need(next(filter(None, map(shutil.which, BROWSERS)), None), "Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=found, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(make_scene: Callable[..., Any], serve_scene: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """A relay with a hundred thousand open sessions, and one that has gone through everything."""
    one = make_scene(partitions=8, lines_max=50)
    one.take_over(SESSIONS)
    one.play(LATE, E.PLAY, E.AD_BREAK_START)
    one.say(LATE, E.PING)
    one.answer(Lost(410))
    one.serve()
    one.now += 60
    one.say(LATE, E.PING)
    one.answer(Refused(400, "no"))
    one.say(LATE, E.PING)
    one.answer(TryAgain("status_503", 503))
    for number in range(40):
        one.lag = {("player-events", 0): number}
        one.now += 2
        one.history.sample()
    with serve_scene(one) as url:
        yield url, one


@pytest.fixture
def page(browser: Any, site: tuple[str, Any]) -> Iterator[Any]:
    """A fresh window; an error in it fails the test, a breach of the policy included."""
    problems: list[str] = []
    context = browser.new_context(base_url=site[0], viewport=DESK)
    shown = context.new_page()
    shown.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    shown.on("pageerror", lambda error: problems.append(str(error)))
    yield shown
    context.close()
    assert not [problem for problem in problems if "Failed to load resource" not in problem]


def violations(page: Any, axe: str) -> list[str]:
    """What the check finds wrong, by all rules that it has, those of good practice as well."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run()).violations.map(v => v.id + ': ' + v.nodes.map(n => n.target).join(' '))")
    return list(found)


def shows(page: Any, place: str, words: str) -> None:
    """Wait until these words stand there."""
    page.locator(place, has_text=words).wait_for(state="attached", timeout=10_000)


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_it(page: Any, axe: str, name: str) -> None:
    """No violation in light, in dark and on a phone, where nothing but tables is wider than the window."""
    page.goto(PAGES[name])
    page.evaluate("document.querySelectorAll('details').forEach(group => { group.open = true })")
    assert page.locator("h1").count() == 1
    for scheme, size in (("light", DESK), ("dark", DESK), ("light", PHONE)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        assert violations(page, axe) == [], (scheme, size)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_is_dark_where_darkness_is_preferred(page: Any) -> None:
    """By the reader's own preference, ground and ink alike."""

    def colours() -> tuple[str, str]:
        style = page.evaluate("(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))")
        return tuple(style)

    page.goto("/")
    page.emulate_media(color_scheme="light")
    light = colours()
    page.emulate_media(color_scheme="dark")
    dark = colours()
    assert sum(map(int, light[0][4:-1].split(","))) > 600
    assert sum(map(int, dark[0][4:-1].split(","))) < 200
    assert light[1] != dark[1]


def test_it_works_without_scripts(browser: Any, site: tuple[str, Any]) -> None:
    """Find a session by its name, read its time line, ask for a longer one, come back: by links and forms alone."""
    context = browser.new_context(base_url=site[0], java_script_enabled=False)
    shown = context.new_page()
    shown.goto("/")
    assert "Reload for newer figures." in shown.inner_text("footer")
    shown.click("nav >> text=Sessions")
    shown.fill("#text", LATE)
    shown.click("text=Find")
    shown.click(f"text={hashed(LATE)}")
    line = shown.inner_text("main")
    for words in (
        "The API no longer knows the session",
        "of silence",
        "Told again: adBreakStart",
        "set aside",
        "a pause after 1 failed call",
    ):
        assert words in line
    shown.click("text=Keep a longer time line")
    assert "A longer time line of this session is kept" in shown.inner_text("main")
    shown.click("nav >> text=Overview")
    assert shown.title() == "Watch: Overview · relay relay"
    context.close()


def test_a_filter_is_an_address_that_can_be_shared(page: Any, browser: Any) -> None:
    """What one sees, another sees at the same address; a hundred thousand sessions are looked through for it."""
    page.goto("/sessions")
    assert "50 sessions of 100,001 in memory." in page.inner_text("main")
    page.select_option("#state", "failing")
    page.click("text=Find")
    assert page.url.endswith("/sessions?state=failing&cause=&text=")
    assert "1 session of 100,001 matches, 100,001 looked at." in page.inner_text("main")
    other = browser.new_context()
    same = other.new_page()
    same.goto(page.url)
    assert same.inner_text("#found") == page.inner_text("#found")
    assert same.input_value("#state") == "failing"
    other.close()
    page.select_option("#state", "")
    page.select_option("#cause", "lost")
    page.click("text=Find")
    assert page.locator("#found a code").all_inner_texts() == [hashed(LATE)]


def test_pages_follow_one_another(page: Any) -> None:
    """No session is shown twice; a name deep in the crowd is found by its beginning."""
    page.goto("/sessions?state=open")
    first = page.locator("#found a code").all_inner_texts()
    page.click("text=Next page")
    second = page.locator("#found a code").all_inner_texts()
    assert len(set(first) | set(second)) == 100
    wanted = hashed("player-099999")
    page.fill("#text", wanted[:10])
    page.click("text=Find")
    assert page.locator("#found a code").all_inner_texts() == [wanted]


def test_a_hostile_key_is_text(page: Any) -> None:
    """What was typed comes back as it was typed."""
    page.goto("/sessions")
    page.fill("#text", "<script>document.title='forged'</script>\"")
    page.click("text=Find")
    assert page.input_value("#text") == "<script>document.title='forged'</script>\""
    assert page.title() == "Sessions · relay relay"
    assert "No session matches." in page.inner_text("main")


def test_it_can_be_used_by_keyboard(page: Any) -> None:
    """The first stop leads to the content, the others are in the order of reading, and each is seen."""
    page.goto("/sessions")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "state"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.goto("/dead-letters")
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")


def test_figures_renew_themselves(page: Any, site: tuple[str, Any]) -> None:
    """Every few seconds, without a jump: what was opened stays open; who stops it is obeyed; a relay that is silent is told."""
    _, one = site
    page.clock.install()
    page.goto("/dead-letters")
    page.click("summary")
    page.evaluate("document.activeElement.blur()")
    assert page.inner_text("summary .number") == "1"
    one.say(LATE, E.SESSION_START)
    one.witness.audit.letter_counts["rejected"] = 7
    page.clock.run_for(5_100)
    shows(page, "summary .number", "7")
    assert page.evaluate("document.querySelector('details').open")
    page.click("text=Stop")
    assert "Stopped." in page.inner_text("footer")
    one.witness.audit.letter_counts["rejected"] = 8
    page.clock.run_for(20_000)
    assert page.inner_text("summary .number") == "7"
    page.click("text=Go on")
    page.context.route("**/dead-letters", lambda route: route.fulfill(status=503, body=""))
    page.clock.run_for(5_100)
    shows(page, "footer [role=status]", "does not answer")
    page.context.unroute("**/dead-letters")
    page.clock.run_for(5_100)
    shows(page, "summary .number", "8")


def test_who_is_reading_is_left_alone(page: Any, site: tuple[str, Any]) -> None:
    """A section in which something has the focus or is selected is not put anew."""
    _, one = site
    page.clock.install()
    page.goto("/openings")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#openings td'))")
    before = page.inner_text("#openings")
    one.play("another", E.PLAY)
    page.evaluate("document.getElementById('drawn').textContent = 'old'")
    page.clock.run_for(5_100)
    shows(page, "#drawn", "drawn at")
    assert page.inner_text("#openings") == before
    page.evaluate("getSelection().removeAllRanges()")
    page.clock.run_for(5_100)
    shows(page, "#openings", hashed("another"))
