"""Credentials that change: one refresh for all, ahead of expiry, after a refusal, and what becomes of calls meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from relay.api.calls import UNSENT
from relay.api.credentials import READ_AGAIN_SECONDS, REFUSED_AGAIN_SECONDS, UNPROVEN_SECONDS, Authorized, SecretHeaders, Tokens
from relay.api.token_endpoint import NoToken, Token
from relay.core.assignment import Assignment
from relay.core.commands import OpenSession, SendEvent
from relay.core.events import ApiSessionId, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Accepted, Misconfigured, TryAgain, Verdict
from relay.core.lane import Lane
from relay.core.patience import CREDENTIALS

SEND = SendEvent(Lane(SessionKey("a"), Assignment("events", 0)), ApiSessionId("id"), PlayerEvent(EventType.PING, 1, 2))
DEADLINE_SECONDS = 10.0


class Desk:
    """An endpoint that gives what a test says, as soon as the test lets it."""

    def __init__(self, *answers: Token | NoToken) -> None:
        """Give these, then tokens t1, t2, … that live for an hour."""
        self.answers: Iterator[Token | NoToken] = iter(answers)
        self.asked = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def fetch(self) -> Token | NoToken:
        """Answer."""
        self.asked += 1
        number = self.asked
        await self.is_open.wait()
        return next(self.answers, Token(f"t{number}", 3600))


class Api:
    """A client whose API refuses some tokens, and takes its time when told to."""

    def __init__(self) -> None:
        """Refuse nothing."""
        self.carried = ""
        self.refuses: set[str] = set()
        self.seen: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def perform(self, _: OpenSession | SendEvent) -> tuple[Verdict, int]:
        """Answer what the token deserves."""
        carried = self.carried
        self.seen.append(carried)
        await self.answers.wait()
        return (Misconfigured(401, "advice"), 401) if carried in self.refuses else (Accepted(), 204)


class World:
    """An API, an endpoint, and tokens between them."""

    def __init__(self, *answers: Token | NoToken, **options: Any) -> None:
        """Prepare."""
        self.api = Api()
        self.desk = Desk(*answers)
        self.counts: list[str] = []
        self.now = 1000.0
        self.carried: list[str] = []
        self.tokens = Tokens(self.desk.fetch, carry=self._carry, counted=self.counts.append, **options)
        self.client = Authorized(self.api, self.tokens)

    def _carry(self, token: str) -> None:
        self.api.carried = token
        self.carried.append(token)

    async def until(self, fact: Callable[[], object]) -> None:
        """Wait for a fact."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not fact():  # noqa: ASYNC110  # any fact
                await asyncio.sleep(0.001)


def play(world: Callable[[], World], story: Callable[[World], Awaitable[None]]) -> None:
    """Run a story while tokens are kept."""

    async def run() -> None:
        broken: list[BaseException] = []
        one = world()
        one.tokens.start(broken.append)
        try:
            await story(one)
        finally:
            await one.tokens.stop()
        assert not broken

    asyncio.run(run())


def test_calls_wait_for_the_first_token() -> None:
    """However many there are, one request for a token leaves, and none of theirs without it."""

    async def story(world: World) -> None:
        world.desk.is_open.clear()
        calls = [asyncio.ensure_future(world.client.perform(SEND)) for _ in range(50)]
        await world.until(lambda: world.desk.asked)
        assert not world.api.seen
        world.desk.is_open.set()
        assert await asyncio.gather(*calls) == [(Accepted(), 204)] * 50
        assert (world.desk.asked, set(world.api.seen), world.counts) == (1, {"t1"}, ["success"])
        assert world.tokens.failure == ""

    play(World, story)


def test_a_refused_token_is_replaced_once_for_all_in_flight() -> None:
    """All calls that carried it are the moment's failure; those that come meanwhile wait for the new one."""

    async def story(world: World) -> None:
        await world.client.perform(SEND)
        world.api.refuses.add("t1")
        world.api.answers.clear()
        world.desk.is_open.clear()
        calls = [asyncio.ensure_future(world.client.perform(SEND)) for _ in range(50)]
        await world.until(lambda: len(world.api.seen) == 51)
        world.api.answers.set()
        assert await asyncio.gather(*calls) == [(TryAgain(CREDENTIALS, 401), 401)] * 50
        assert world.tokens.failure
        later = [asyncio.ensure_future(world.client.perform(SEND)) for _ in range(50)]
        await world.until(lambda: world.desk.asked == 2)
        world.desk.is_open.set()
        assert await asyncio.gather(*later) == [(Accepted(), 204)] * 50
        assert world.desk.asked == 2
        assert len(world.api.seen) == 101

    play(World, story)


def test_a_refusal_that_comes_late_replaces_nothing() -> None:
    """Its token is no longer the one that is carried."""

    async def story(world: World) -> None:
        await world.client.perform(SEND)
        assert world.tokens.refused("t1")
        await world.client.perform(SEND)
        assert world.tokens.refused("t1")
        await world.client.perform(SEND)
        assert (world.desk.asked, world.tokens.current) == (2, "t2")

    play(World, story)


def test_a_fresh_token_that_is_refused_is_our_configuration() -> None:
    """Else a gateway that refuses us for another reason would be answered with an endless run of refreshes."""
    now = 0.0

    async def story(world: World) -> None:
        nonlocal now
        world.api.refuses |= {"t1", "t2"}
        assert await world.client.perform(SEND) == (TryAgain(CREDENTIALS, 401), 401)
        for _ in range(5):
            assert await world.client.perform(SEND) == (Misconfigured(401, "advice"), 401)
        assert world.desk.asked == 2
        now += UNPROVEN_SECONDS
        assert await world.client.perform(SEND) == (TryAgain(CREDENTIALS, 401), 401)
        assert await world.client.perform(SEND) == (Accepted(), 204)

    play(lambda: World(clock=lambda: now), story)


def test_a_token_that_was_taken_and_is_refused_is_replaced_again() -> None:
    """Tokens may be taken back one after the other; but a gateway that takes some calls and refuses others is not asked all the time."""
    now = 0.0

    async def story(world: World) -> None:
        nonlocal now
        world.api.refuses.add("t1")
        assert await world.client.perform(SEND) == (TryAgain(CREDENTIALS, 401), 401)
        assert await world.client.perform(SEND) == (Accepted(), 204)
        world.api.refuses.add("t2")
        assert await world.client.perform(SEND) == (Misconfigured(401, "advice"), 401)
        now += REFUSED_AGAIN_SECONDS
        assert await world.client.perform(SEND) == (TryAgain(CREDENTIALS, 401), 401)
        assert await world.client.perform(SEND) == (Accepted(), 204)
        assert world.desk.asked == 3

    play(lambda: World(clock=lambda: now), story)


def test_a_late_answer_proves_nothing_of_the_new_token() -> None:
    """It was given to the old one."""
    now = 0.0

    async def story(world: World) -> None:
        nonlocal now
        await world.client.perform(SEND)
        world.api.answers.clear()
        late = asyncio.ensure_future(world.client.perform(SEND))
        await world.until(lambda: len(world.api.seen) == 2)
        assert world.tokens.refused("t1")
        world.api.refuses |= {"t2"}
        await world.until(lambda: world.tokens.current == "t2")
        world.api.answers.set()
        assert await late == (Accepted(), 204)
        now += REFUSED_AGAIN_SECONDS
        assert await world.client.perform(SEND) == (Misconfigured(401, "advice"), 401)

    play(lambda: World(clock=lambda: now), story)


def test_a_token_is_renewed_ahead_of_expiry() -> None:
    """Calls go on with the old one meanwhile, and none is refused or waits."""

    async def story(world: World) -> None:
        await world.client.perform(SEND)
        world.desk.is_open.clear()
        await world.until(lambda: world.desk.asked == 2)
        assert await world.client.perform(SEND) == (Accepted(), 204)
        assert world.api.seen == ["short", "short"]
        world.desk.is_open.set()
        await world.until(lambda: world.tokens.current == "t2")
        assert world.api.carried == "t2"

    play(lambda: World(Token("short", 0.5)), story)


def test_a_token_that_cannot_be_renewed_is_used_until_it_dies() -> None:
    """Then calls are held, with the reason; the next token lets them go again."""

    async def story(world: World) -> None:
        await world.client.perform(SEND)
        await world.until(lambda: world.counts == ["success", "failed"])
        assert await world.client.perform(SEND) == (Accepted(), 204)
        await world.until(lambda: not world.tokens.current)
        assert await world.client.perform(SEND) == (TryAgain(CREDENTIALS), UNSENT)
        assert "status_503" in world.tokens.failure
        await world.until(lambda: world.tokens.current)
        assert await world.client.perform(SEND) == (Accepted(), 204)
        assert world.api.seen == ["short", "short", "t3"]

    play(lambda: World(Token("short", 0.3), NoToken("status_503")), story)


def test_being_refused_by_the_endpoint_is_our_configuration() -> None:
    """Nothing leaves, and the operators are told what to check."""

    async def story(world: World) -> None:
        assert await world.client.perform(SEND) == (Misconfigured(0, "check the secret"), UNSENT)
        assert await world.client.perform(SEND) == (Misconfigured(0, "check the secret"), UNSENT)
        assert (world.desk.asked, world.api.seen, world.counts) == (1, [], ["refused"])
        assert world.tokens.failure == "check the secret"
        assert world.tokens.expires_at == 0

    play(lambda: World(NoToken("invalid_client", "check the secret")), story)


def test_a_call_that_is_given_up_takes_nobody_along() -> None:
    """Others go on waiting for the same token."""

    async def story(world: World) -> None:
        world.desk.is_open.clear()
        impatient, patient = (asyncio.ensure_future(world.client.perform(SEND)) for _ in range(2))
        await world.until(lambda: world.desk.asked)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        world.desk.is_open.set()
        assert await patient == (Accepted(), 204)

    play(World, story)


def test_a_bug_is_told() -> None:
    """What is no failure of the outside stops the relay."""

    async def run() -> None:
        async def fetch() -> Token:
            raise KeyError("a bug")

        broken: list[BaseException] = []
        tokens = Tokens(fetch, carry=lambda _: None)
        tokens.start(broken.append)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not broken:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await tokens.stop()
        assert isinstance(broken[0], KeyError)

    asyncio.run(run())


def test_headers_from_secret_files_are_read_anew_when_the_api_refuses_us() -> None:
    """Not more often than a circuit that is held lets a call pass; unchanged files leave the verdict as it was."""
    now, changed, reads = 0.0, False, 0

    def read() -> bool:
        nonlocal reads
        reads += 1
        return changed

    async def run() -> None:
        nonlocal now, changed
        api = Api()
        api.carried, api.refuses = "old", {"old"}
        client = Authorized(api, SecretHeaders(read, clock=lambda: now))
        refusal = (Misconfigured(401, "advice"), 401)
        assert await client.perform(SEND) == refusal
        changed = True
        assert await client.perform(SEND) == refusal
        assert reads == 1
        now += READ_AGAIN_SECONDS
        assert await client.perform(SEND) == (TryAgain(CREDENTIALS, 401), 401)
        api.carried = "new"
        assert await client.perform(SEND) == (Accepted(), 204)
        assert reads == 2

    asyncio.run(run())


@pytest.mark.parametrize("status", [401, 403])
def test_a_late_refusal_of_old_headers_reads_nothing(status: int) -> None:
    """Others have had them read meanwhile."""
    reads: list[int] = []
    headers = SecretHeaders(lambda: bool(reads.append(status)) or True)
    assert headers.refused("1")
    assert headers.refused("1")
    assert reads == [status]
