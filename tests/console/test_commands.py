"""`relay sessions`, `relay session` and `relay top`: what they print of a running relay, and how they fail."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from relay.cli import main
from relay.core.events import EventType as E
from relay.observe.admin import as_json
from relay.observe.console import shapes
from relay.observe.logs import hashed


class Found(NamedTuple):
    """What the group says of a key."""

    topic: str
    partition: int
    partitioner: str
    holder: tuple[str, str, str] | None


@pytest.fixture
def troubled(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> Any:
    """Two silent sessions, and one that lost its API session and fails now."""
    one = scene()
    one.play("calm")
    one.play("ended", E.SESSION_END)
    one.play("k", E.PLAY)
    one.now += 20
    one.say("k", E.PING)
    one.answer(verdicts["lost"])
    one.serve()
    one.say("k", E.PING)
    one.answer(verdicts["later"])
    one.now += 2
    one.history.sample()
    return one


def test_sessions_as_a_table(troubled: Any, served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A row each, and on stderr how many there are."""
    with served(troubled) as url:
        assert main(["sessions", "--url", url]) == 0
    shown = capsys.readouterr()
    head, *rows = shown.out.splitlines()
    assert head.split() == ["SESSION", "STATE", "WAITING", "OLDEST", "SILENT", "PARTITION", "WAITS", "FOR"]
    assert [row.split()[:3] for row in rows] == [
        [hashed("calm"), "ready", "0"],
        [hashed("ended"), "ended", "0"],
        [hashed("k"), "ready", "1"],
    ]
    assert "3 of 3 sessions in memory" in shown.err


def test_sessions_by_filter_and_page_by_page(scene: Callable[..., Any], served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages are put together, up to the limit."""
    one = scene()
    one.crowd(130)
    with served(one) as url:
        assert main(["sessions", "--url", url, "--limit", "120"]) == 0
        assert "there are more" in capsys.readouterr().err
        assert main(["sessions", "--url", url, "--state", "ended"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1
        assert main(["sessions", "--url", url, "--limit", "500", "--json"]) == 0
        pages = [msgspec.json.decode(line, type=shapes.Sessions) for line in capsys.readouterr().out.splitlines()]
    assert len({one.name for page in pages for one in page.sessions}) == 130


@pytest.mark.parametrize("name", ["k", hashed("k")])
def test_one_session_with_its_time_line(troubled: Any, served: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """By its key or by its name: what it waits for, then what happened, the silence between included."""
    with served(troubled) as url:
        assert main(["session", name, "--url", url]) == 0
    shown = capsys.readouterr().out
    for words in (
        "waits for a pause after 1 failed call (status 503)",
        "… 20.0 s of silence",
        "lost",
        "answer 410",
        "told play",
        "status_503",
    ):
        assert words in shown
    assert shown.index("sessionStart") < shown.index("silence") < shown.index("told play")


def test_a_session_as_json(troubled: Any, served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the documented shape, by key and by name alike."""
    with served(troubled) as url:
        for name in ("k", hashed("k")):
            assert main(["session", name, "--url", url, "--json"]) == 0
            where = msgspec.json.decode(capsys.readouterr().out, type=shapes.Whereabouts)
            assert where.lines[0].name == hashed("k")


def test_any_replica_may_be_asked(scene: Callable[..., Any], served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One that does not hold the session names who does, and that one is asked at the same port."""
    holder, asked = scene(), scene(found=[Found("player-events", 7, "murmur2", ("relay-1", "relay", "127.0.0.2"))])
    holder.play("far")
    with served(asked) as url, served(holder, "127.0.0.2", int(url.rpartition(":")[2])):
        assert main(["session", "far", "--url", url]) == 0
        assert "sessionStart" in capsys.readouterr().out
        assert main(["session", "far", "--url", url, "--here"]) == 1
    assert "by murmur2 its key lies in player-events partition 7, which relay-1 at 127.0.0.2 holds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found("player-events", 0, "crc32", None), "has seen no event of it, or has forgotten it"),
        (Found("player-events", 9, "crc32", None), "the group does not say who holds that"),
        (
            Found("player-events", 9, "crc32", ("relay-9\x1b[2J", "relay", "127.0.0.3")),
            "relay-9\N{REPLACEMENT CHARACTER}[2J at 127.0.0.3 holds",
        ),
    ],
)
def test_a_session_that_nobody_shows(
    scene: Callable[..., Any], served: Any, capsys: pytest.CaptureFixture[str], found: Found, words: str
) -> None:
    """Exit code 1, and where it should be; nothing that comes from elsewhere moves the cursor."""
    with served(scene(found=[found])) as url:
        assert main(["session", "nobody", "--url", url, "--timeout", "2"]) == 1
    shown = capsys.readouterr()
    assert words in shown.err
    assert "\x1b" not in shown.err + shown.out


def test_a_longer_line_from_now_on(scene: Callable[..., Any], served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """`--follow` asks for it; without, it is said that there is none."""
    one = scene(lines_max=1)
    one.play("a")
    one.play("b")
    with served(one) as url:
        main(["session", "b", "--url", url])
        assert "no time line is kept" in capsys.readouterr().out
        main(["session", "b", "--url", url, "--follow"])
        one.say("b", E.PING)
        main(["session", "b", "--url", url])
    assert "ping" in capsys.readouterr().out


def test_top_draws_once_where_there_is_no_terminal(troubled: Any, served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The first sentence, the figures, what fails; without colours or cursor movements."""
    with served(troubled) as url:
        assert main(["top", "--url", url]) == 0
        shown = capsys.readouterr().out
        assert main(["top", "--url", url, "--json", "--count", "2", "--interval", "0"]) == 0
    for words in ("relay relay  relay-0  1.2.3", "All is well", "delivered", "█", "tried again    status_503 1", "FAILING", hashed("k")):
        assert words in shown
    assert "\x1b" not in shown
    looks = [msgspec.json.decode(line, type=shapes.Overview) for line in capsys.readouterr().out.splitlines()]
    assert len(looks) == 2


@pytest.mark.parametrize("command", [["top"], ["sessions"], ["session", "k"]], ids=" ".join)
def test_nobody_answers(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what to check, and exit code 1."""
    assert main([*command, "--url", "127.0.0.1:1"]) == 1
    assert "no answer from http://127.0.0.1:1 (ConnectionRefusedError); is the relay running" in capsys.readouterr().err
    for address in ("ftp://x", "http://[::1", "http://x:y"):
        assert main([*command, "--url", address]) == 1
        assert "is no address" in capsys.readouterr().err


def test_somebody_else_answers(scene: Callable[..., Any], served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A server without a console, and one that speaks otherwise."""
    silent, other = scene(), scene()
    silent._routes = {}
    other._routes = {"/api/overview": lambda _: as_json({"hello": 1})}
    for one, words in ((silent, "has no console"), (other, "no answer of a relay of this version")):
        with served(one) as url:
            assert main(["top", "--url", url]) == 1
            assert words in capsys.readouterr().err
