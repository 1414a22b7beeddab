"""Credentials that change while the relay runs: tokens that expire, and headers that come out of secret files.

In: a way to fetch or to read them, and the answers of the API. Out: what the client carries with each request, and for calls that may not
leave: why.

One task asks for tokens, one at a time, so that there is one refresh however many calls are under way. It asks ahead of expiry, and at once
when the API refuses a token; calls wait for it meanwhile, and none leaves without a token. A 401 costs one refresh: a token that is refused
before it was ever taken is not too old, so what is wrong is for the operators to find.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from relay.api.calls import UNSENT, Broke, Hear, Performs
from relay.api.token_endpoint import NoToken, Token
from relay.core.commands import OpenSession, SendEvent
from relay.core.inputs import Misconfigured, TryAgain, Verdict
from relay.core.patience import CREDENTIALS

log = logging.getLogger("relay.api.credentials")

REFUSED_AGAIN_SECONDS: Final = 5.0  # the least time between two refreshes that a refusal asks for
UNPROVEN_SECONDS: Final = 30.0  # the same while no token of late was taken
READ_AGAIN_SECONDS: Final = 5.0  # as often as a circuit that is held lets a call pass
RETRY_SECONDS_INITIAL: Final = 1.0
RETRY_SECONDS_MAX: Final = 30.0
SHARE_AHEAD_MAX: Final = 0.5  # of a token's life: one that lives for a minute is not renewed all the time
_PROOF_BELOW: Final = 500  # who answers so has let the call pass


class Credentials(Protocol):
    """What a client that carries credentials needs of them."""

    refusals: frozenset[int]
    """The statuses that speak of credentials."""

    is_proven: bool
    """Whether the API has let a call pass with what is carried now."""

    @property
    def current(self) -> str:
        """Names what is carried now: another text when it has changed, empty when there is nothing to carry."""
        ...

    async def obtain(self) -> Misconfigured | TryAgain | None:
        """Wait for what is on its way; why there is nothing to carry, or None."""
        ...

    def refused(self, carried: str) -> bool:
        """The API refused what was carried; True when the next call will carry something else."""
        ...


class Authorized:
    """A client, none of whose calls leaves without credentials; a refusal that fresh ones may mend is the moment's fault."""

    def __init__(self, client: Performs, credentials: Credentials) -> None:
        """Whoever keeps the credentials has put them into the client."""
        self._client = client
        self._credentials = credentials

    def begin(self, command: OpenSession | SendEvent, hear: Hear, broke: Broke) -> bool:
        """Carry out a command at once, if there is something to carry and nothing else to wait for."""
        carried = self._credentials.current

        def judged(verdict: Verdict, status: int) -> None:
            hear(self._judge(verdict, status, carried), status)

        return bool(carried) and self._client.begin(command, judged, broke)

    async def perform(self, command: OpenSession | SendEvent) -> tuple[Verdict, int]:
        """Carry out a command: what its answer means, and the status."""
        credentials = self._credentials
        if not credentials.current:
            failure = await credentials.obtain()
            if failure is not None:
                return failure, UNSENT
        carried = credentials.current
        verdict, status = await self._client.perform(command)
        return self._judge(verdict, status, carried), status

    def _judge(self, verdict: Verdict, status: int, carried: str) -> Verdict:
        credentials = self._credentials
        if status in credentials.refusals:
            return TryAgain(CREDENTIALS, status) if credentials.refused(carried) else verdict
        if 0 < status < _PROOF_BELOW and carried == credentials.current:
            credentials.is_proven = True
        return verdict


class Tokens:
    """Keeps a token that is good."""

    refusals: frozenset[int] = frozenset({401})  # 403 says that who we are is known, and not enough

    def __init__(  # noqa: PLR0913  # plain values and ways out, each by its name
        self,
        fetch: Callable[[], Awaitable[Token | NoToken]],
        *,
        carry: Callable[[str], None],
        counted: Callable[[str], None] = lambda _: None,
        ahead_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take a way to fetch a token, one to make requests carry it, and one to count how fetching went."""
        self.current = ""
        self.is_proven = False
        self.expires_at = 0.0  # Unix time; 0 without a token
        self._fetch = fetch
        self._carry = carry
        self._counted = counted
        self._ahead_seconds = ahead_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._dies_at = 0.0
        self._retry_seconds = RETRY_SECONDS_INITIAL
        self._refused_at = float("-inf")  # when a refusal last asked for a token
        self._last: NoToken = NoToken("no_token")
        self._attempt: asyncio.Future[None] | None = None  # asked for, or under way
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, broke: Callable[[BaseException], None]) -> None:
        """Begin to ask; `broke` hears of a bug."""
        self._ask()
        self._task = asyncio.get_running_loop().create_task(self._keep())

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                broke(error)

        self._task.add_done_callback(ended)

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def failure(self) -> str:
        """Why no call can leave; empty when all is well."""
        return "" if self.current else self._last.advice or f"there is no token ({self._last.cause}): see RELAY_OAUTH__TOKEN_URL"

    async def obtain(self) -> Misconfigured | TryAgain | None:
        """Wait for the token that is on its way; why there is none, or None."""
        if self._attempt is not None:
            await asyncio.shield(self._attempt)
        if self.current:
            return None
        return Misconfigured(0, self._last.advice) if self._last.advice else TryAgain(CREDENTIALS)

    def refused(self, carried: str) -> bool:
        """The API refused a token: it is replaced, unless it is a new one or one was replaced for this a moment ago."""
        if carried != self.current:
            return True
        now = self._clock()
        if now - self._refused_at < (REFUSED_AGAIN_SECONDS if self.is_proven else UNPROVEN_SECONDS):
            return False
        self._refused_at = now
        log.warning("the API refuses the token: asking for another")
        self._drop()
        self._ask()
        return True

    # --- the task ---------------------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        if self._attempt is None:
            self._attempt = asyncio.get_running_loop().create_future()
            self._asked.set()

    async def _keep(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            found = await self._fetch()
            next_at = self._take(found) if isinstance(found, Token) else self._fail(found)
            attempt, self._attempt = self._attempt, None
            if attempt is not None:
                attempt.set_result(None)
            await self._rest(next_at)

    async def _rest(self, until: float) -> None:
        """Wait until the next token is due, or asked for; a token that dies meanwhile is dropped."""
        while not self._asked.is_set():
            now = self._clock()
            if self.current and now >= self._dies_at:
                log.error("the token has expired: calls wait for another", extra={"cause": self._last.cause, "advice": self._last.advice})
                self._drop()
            if now >= until:
                self._ask()
                return
            moment = min(until, self._dies_at) if self.current else until
            try:
                async with asyncio.timeout(moment - now):
                    await self._asked.wait()
            except TimeoutError:
                continue

    def _take(self, token: Token) -> float:
        self._counted("success")
        self._retry_seconds = RETRY_SECONDS_INITIAL
        now = self._clock()
        self.current = token.value
        self.is_proven = False
        self._dies_at = now + token.seconds
        self.expires_at = self._wall_clock() + token.seconds
        self._carry(token.value)
        log.info("token refreshed", extra={"seconds": round(token.seconds)})
        # Relays that were started together must not all ask together.
        ahead = min(self._ahead_seconds, token.seconds * SHARE_AHEAD_MAX) * random.uniform(0.75, 1.0)  # noqa: S311  # spreads load
        return self._dies_at - ahead

    def _fail(self, failure: NoToken) -> float:
        self._counted("refused" if failure.advice else "failed")
        self._last = failure
        log.error(
            "no token: asking again" if self.current else "no token: calls wait for one",
            extra={"cause": failure.cause, "advice": failure.advice, "seconds": round(self._retry_seconds)},
        )
        next_at = self._clock() + self._retry_seconds * random.uniform(0.75, 1.0)  # noqa: S311  # spreads load
        self._retry_seconds = min(self._retry_seconds * 2, RETRY_SECONDS_MAX)
        return next_at

    def _drop(self) -> None:
        self.current = ""
        self.is_proven = False
        self.expires_at = 0.0


class SecretHeaders:
    """Headers that come out of secret files: when the API refuses us, the files may have changed."""

    refusals: frozenset[int] = frozenset({401, 403})  # gateways that ask for a key answer either

    def __init__(self, read: Callable[[], bool], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a way to read the files again and to make requests carry what they say; it returns whether they say something new."""
        self.is_proven = False
        self._read = read
        self._clock = clock
        self._version = 1
        self._read_at = -READ_AGAIN_SECONDS

    @property
    def current(self) -> str:
        """The number of the version."""
        return str(self._version)

    async def obtain(self) -> None:
        """There is always something to carry."""

    def refused(self, carried: str) -> bool:
        """Look into the files, if that is some seconds ago; True when they say something new."""
        now = self._clock()
        if carried != self.current:
            return True
        if now - self._read_at < READ_AGAIN_SECONDS:
            return False
        self._read_at = now
        if not self._read():
            return False
        log.info("headers read anew from the secret files")
        self._version += 1
        return True
