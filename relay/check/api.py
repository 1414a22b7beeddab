"""Whether the API would serve: the way to it, its certificate, a token where one is asked for, the dialect, and the clock.

In: what requests are made of. Out: findings. No session is opened: an event goes to a session that cannot exist, and, where an opening can
be refused without touching anything else, one that must be.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from relay.api.bodies import read_body
from relay.api.dialect import ApiCall, Dialect
from relay.api.token_endpoint import NoToken, Token
from relay.check.findings import FAILED, UNREACHABLE, Report
from relay.core.assignment import Assignment
from relay.core.commands import SendEvent
from relay.core.events import ApiSessionId, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, Refused, TryAgain, Verdict
from relay.core.lane import Lane
from relay.core.verdict import Answer

NOBODY: Final = ApiSessionId("0" * 64)  # ids are drawn from 256 bits
CERTIFICATE_DAYS_MIN: Final = 21.0
CLOCK_SECONDS_MAX: Final = 5.0  # the header is exact to a second
_DAY: Final = 86_400.0
_HTTPS: Final = 443
_HTTP: Final = 80


class Reach(NamedTuple):
    """How the API is reached."""

    url: str
    transport: httpx.AsyncBaseTransport
    tls: ssl.SSLContext
    headers: Mapping[str, str]
    seconds: float  # for one request
    is_direct: bool  # whether the relay itself connects, and no proxy does
    fetch_token: Callable[[], Awaitable[Token | NoToken]] | None  # where a gateway asks for one


class _Reply(NamedTuple):
    answer: Answer
    date: str
    asked_at: float
    seconds: float


class ApiChecks:
    """Makes the findings one after the other; what builds on a failure is skipped."""

    def __init__(self, reach: Reach, dialect: Dialect, report: Report) -> None:
        """Nothing is asked yet."""
        self._reach = reach
        self._dialect = dialect
        self._report = report
        self._headers = dict(reach.headers)

    async def run(self) -> None:
        """Look at everything."""
        reach, report = self._reach, self._report
        can_connect = await self._check_way()
        can_go_on = await self._check_token() if reach.fetch_token is not None else True
        if not can_connect or not can_go_on:
            report.skip("api.dialect", reach.url, "not asked: see above")
            return
        ping = PlayerEvent(EventType.PING, 0, int(time.time() * 1000))
        lane = Lane(SessionKey("check"), Assignment("check", 0))
        reply = await self._ask("api.dialect", self._dialect.sending(SendEvent(lane, NOBODY, ping)))
        if reply is None:
            return
        self._judge_event(reply)
        self._check_clock(reply)
        opening = self._dialect.impossible_opening()
        if opening is not None:
            reply = await self._ask("api.opening", opening)
            if reply is not None:
                self._judge_opening(reply)

    # --- the way ----------------------------------------------------------------------------------------------------------------------

    async def _check_way(self) -> bool:
        """Connect, and look at the certificate; True when that can be done or need not."""
        reach, report = self._reach, self._report
        url = urlsplit(reach.url)
        host, is_safe = url.hostname or "", url.scheme == "https"
        if not reach.is_direct:
            report.skip("api.connection", reach.url, "a proxy connects, not the relay")
            return True
        try:
            async with asyncio.timeout(reach.seconds):
                reader, writer = await asyncio.open_connection(
                    host, url.port or (_HTTPS if is_safe else _HTTP), ssl=reach.tls if is_safe else None
                )
        except ssl.SSLCertVerificationError as error:
            advice = "check RELAY_API__CA_FILE, SSL_CERT_FILE and the name in RELAY_API__URL"
            report.fail("api.connection", reach.url, f"its certificate is not trusted: {error.verify_message}", advice)
            return False
        except ssl.SSLError as error:
            advice = "check that TLS is spoken there, and RELAY_API__CLIENT_CERT_FILE if it asks for a certificate"
            report.fail("api.connection", reach.url, f"no TLS connection: {error.reason}", advice)
            return False
        except OSError as error:
            found = f"no connection: {error.strerror or 'no answer in time'}"
            report.fail("api.connection", reach.url, found, "check RELAY_API__URL, the network and its policies", UNREACHABLE)
            return False
        address = writer.get_extra_info("peername")
        certificate = writer.get_extra_info("peercert") if is_safe else None
        writer.transport.abort()
        del reader
        report.ok("api.connection", reach.url, f"connected to {address[0]}")
        if certificate:
            self._check_certificate(ssl.cert_time_to_seconds(certificate["notAfter"]))
        return True

    def _check_certificate(self, expires_at: float) -> None:
        days = (expires_at - time.time()) / _DAY
        found = f"its certificate is good for {days:.0f} days"
        if days < CERTIFICATE_DAYS_MIN:
            self._report.warn("api.certificate", self._reach.url, found, "see that whoever runs it renews it in time")
        else:
            self._report.ok("api.certificate", self._reach.url, found)

    async def _check_token(self) -> bool:
        assert self._reach.fetch_token is not None
        found = await self._reach.fetch_token()
        if isinstance(found, Token):
            self._headers["Authorization"] = f"Bearer {found.value}"
            self._report.ok("api.token", "RELAY_OAUTH__TOKEN_URL", f"a token for {found.seconds:.0f} s")
            return True
        if found.advice:
            self._report.fail("api.token", "RELAY_OAUTH__TOKEN_URL", f"no token ({found.cause})", found.advice)
        else:
            advice = "check RELAY_OAUTH__TOKEN_URL, and the way to it"
            self._report.fail("api.token", "RELAY_OAUTH__TOKEN_URL", f"no token for the moment ({found.cause})", advice, UNREACHABLE)
        return False

    # --- the dialect ------------------------------------------------------------------------------------------------------------------

    async def _ask(self, check: str, call: ApiCall) -> _Reply | None:
        reach, url = self._reach, httpx.URL(self._reach.url)
        own = {"host": url.netloc.decode("ascii"), "content-type": "application/json", "accept": "application/json"}
        request = httpx.Request(
            "POST",
            url,
            headers={**own, **self._headers},
            content=call.body,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), reach.seconds), "target": call.target},
        )
        asked_at = time.time()
        try:
            response = await reach.transport.handle_async_request(request)
            body = await read_body(response)
        except httpx.TransportError as error:
            advice = "check RELAY_API__URL and what stands before it; RELAY_API__TIMEOUT_SECONDS is how long a request may take"
            self._report.fail(check, reach.url, f"no answer ({type(error).__name__})", advice, UNREACHABLE)
            return None
        answer = Answer(response.status_code, 0.0, response.headers.get("location", ""), body)
        return _Reply(answer, response.headers.get("date", ""), asked_at, time.time() - asked_at)

    def _judge_event(self, reply: _Reply) -> None:
        answer, report, url = reply.answer, self._report, self._reach.url
        verdict = self._dialect.judge_sending(answer)
        if isinstance(verdict, Lost) and _is_json_object(answer.body):
            proof = "it does not know a session that cannot exist, and says so in its own way"
            report.ok("api.dialect", url, f"{answer.status} in {reply.seconds * 1000:.0f} ms: {proof}")
        elif isinstance(verdict, Lost):
            advice = "check RELAY_API__URL: is that the API, or something that knows no such path?"
            report.warn("api.dialect", url, f"{answer.status}, but not in JSON as the API would say it", advice)
        elif isinstance(verdict, Accepted):
            advice = "check RELAY_API__URL and RELAY_API__DIALECT: something else answers there"
            report.fail("api.dialect", url, f"{answer.status}: it takes an event of a session that cannot exist", advice)
        else:
            self._judge_trouble("api.dialect", verdict, answer.status)

    def _judge_opening(self, reply: _Reply) -> None:
        verdict, status = self._dialect.judge_opening(reply.answer), reply.answer.status
        if isinstance(verdict, Refused):
            self._report.ok("api.opening", self._reach.url, f"{status}: it refuses an opening that says nothing, as it should")
        elif isinstance(verdict, Opened):
            advice = "check RELAY_API__URL and RELAY_API__DIALECT: something else answers there"
            self._report.fail("api.opening", self._reach.url, f"{status}: it opens a session for nothing", advice)
        else:
            self._judge_trouble("api.opening", verdict, status)

    def _judge_trouble(self, check: str, verdict: Verdict, status: int) -> None:
        url = self._reach.url
        if isinstance(verdict, Misconfigured):
            self._report.fail(check, url, f"{status}: it refuses us", verdict.advice)
        elif isinstance(verdict, TryAgain):
            self._report.fail(check, url, f"{status}: it fails for the moment", "try again; the relay would wait", UNREACHABLE)
        else:
            advice = "check RELAY_API__DIALECT and what stands before the API"
            self._report.fail(check, url, f"{status}: an unexpected answer", advice, FAILED)

    def _check_clock(self, reply: _Reply) -> None:
        try:
            theirs = parsedate_to_datetime(reply.date).timestamp()
        except (ValueError, OverflowError):
            self._report.skip("clock", self._reach.url, "it does not tell the time")
            return
        ahead = reply.asked_at + reply.seconds / 2 - theirs
        found = f"our clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the API's"
        if abs(ahead) > CLOCK_SECONDS_MAX:
            advice = "set the clock: latencies, ages of events and Retry-After dates would be wrong"
            self._report.warn("clock", self._reach.url, found, advice)
        else:
            self._report.ok("clock", self._reach.url, found)


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
