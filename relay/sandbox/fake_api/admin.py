"""The fake's own endpoints, below `/_fake/`: the account, the fault rules, what was received.

    GET  /_fake/account            the account; `?sessions=all|unclean|none` says which player sessions are in it one by one
    GET  /_fake/faults             the fault rules, a JSON list
    PUT  /_fake/faults             put others in their place
    POST /_fake/purge              forget all API sessions: each answers 404 from then on
    GET  /_fake/sessions           everything received, one JSON line for each player session; `?limit=` bounds the events
    POST /_fake/compare            what was produced, as JSON lines {"session", "ts", "eventType"} in order → an account against it
    POST /_fake/expect             the same lines, but remembered for every later account
    POST /_fake/reset              forget everything but the fault rules
    GET  /_fake/tokens             where tokens are asked for: how many were given and denied, how many requests came without a good one
    PUT  /_fake/tokens             {"seconds": 60} is how long tokens live from now on, {"status": 503} how requests for one fail (0: not)
    POST /_fake/tokens/revoke      no token is good that was given so far

In: requests. Out: replies. Fault rules do not strike here.
"""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs

import msgspec

from relay.sandbox.fake_api.dialect import Headers, Identity, Reply
from relay.sandbox.fake_api.record import PlayerLog
from relay.sandbox.fake_api.tally import Account, Tally
from relay.sandbox.fake_api.tokens import TokenDesk

if TYPE_CHECKING:
    from relay.sandbox.fake_api.api import FakeApi

SESSIONS_LISTED_MAX: Final = 1_000  # in an account
EVENTS_LISTED: Final = 100_000  # in a list of what was received, where the request does not say otherwise

_JSON: Final[Headers] = (("Content-Type", "application/json"),)
_JSON_LINES: Final[Headers] = (("Content-Type", "application/jsonl"),)
_DONE: Final = Reply(HTTPStatus.NO_CONTENT)

Query = dict[str, str]
Handler = Callable[[Query, bytes], Reply]


class Produced(msgspec.Struct, forbid_unknown_fields=False):
    """One event that a player said."""

    session: str
    ts: int
    event_type: str = msgspec.field(name="eventType")


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """How tokens shall be given."""

    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    status: Annotated[int, msgspec.Meta(ge=0, le=599)] | None = None


class Admin:
    """Answers what is below `/_fake/`, and 404 elsewhere."""

    def __init__(self, api: "FakeApi") -> None:
        """Take the API that is asked about."""
        self._api = api
        self._handlers: dict[tuple[str, str], Handler] = {
            ("GET", "/_fake/account"): self._account,
            ("GET", "/_fake/faults"): self._faults,
            ("PUT", "/_fake/faults"): self._set_faults,
            ("POST", "/_fake/purge"): self._purge,
            ("GET", "/_fake/sessions"): self._sessions,
            ("POST", "/_fake/compare"): self._compare,
            ("POST", "/_fake/expect"): self._expect,
            ("POST", "/_fake/reset"): self._reset,
            ("GET", "/_fake/tokens"): self._tokens,
            ("PUT", "/_fake/tokens"): self._set_tokens,
            ("POST", "/_fake/tokens/revoke"): self._revoke_tokens,
        }

    def answer(self, method: str, target: str, _headers: Headers, body: bytes) -> Reply:
        """Answer one request."""
        path, _, query = target.partition("?")
        handler = self._handlers.get((method, path))
        if handler is None:
            return _complain(HTTPStatus.NOT_FOUND, "there is nothing at this path, or not for this method")
        try:
            return handler({name: values[-1] for name, values in parse_qs(query).items()}, body)
        except (msgspec.MsgspecError, ValueError) as error:
            return _complain(HTTPStatus.BAD_REQUEST, str(error))

    def _account(self, query: Query, _body: bytes) -> Reply:
        return _json(describe(self._api.account(), query.get("sessions", "unclean")))

    def _faults(self, _query: Query, _body: bytes) -> Reply:
        return _json(self._api.faults)

    def _set_faults(self, _query: Query, body: bytes) -> Reply:
        self._api.set_faults(msgspec.json.decode(body, type=list[str]))
        return _json(self._api.faults)

    def _purge(self, _query: Query, _body: bytes) -> Reply:
        self._api.purge()
        return _DONE

    def _reset(self, _query: Query, _body: bytes) -> Reply:
        self._api.reset()
        return _DONE

    def _tokens(self, _query: Query, _body: bytes) -> Reply:
        desk = self._desk()
        return _json({name: getattr(desk, name) for name in ("granted", "denied", "turned_away", "seconds", "status")})

    def _set_tokens(self, query: Query, body: bytes) -> Reply:
        desk = self._desk()
        wanted = msgspec.json.decode(body, type=Wanted)
        desk.seconds = desk.seconds if wanted.seconds is None else wanted.seconds
        desk.status = desk.status if wanted.status is None else wanted.status
        return self._tokens(query, body)

    def _revoke_tokens(self, _query: Query, _body: bytes) -> Reply:
        self._desk().revoke()
        return _DONE

    def _desk(self) -> TokenDesk:
        if self._api.tokens is None:
            raise ValueError("no tokens are asked for here: start with --token-client")
        return self._api.tokens

    def _sessions(self, query: Query, _body: bytes) -> Reply:
        lines = list_received(self._api.players(), int(query.get("limit", EVENTS_LISTED)))
        return Reply(HTTPStatus.OK, _JSON_LINES, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _compare(self, query: Query, body: bytes) -> Reply:
        return _json(describe(self._api.compare(read_produced(body)), query.get("sessions", "unclean")))

    def _expect(self, _query: Query, body: bytes) -> Reply:
        for session, identities in read_produced(body).items():
            self._api.expect(session, identities)
        return _DONE


def describe(account: Account, sessions: str) -> dict[str, object]:
    """Describe an account as JSON has it; of the player sessions those which are asked for, up to a limit."""
    if sessions not in {"all", "unclean", "none"}:
        raise ValueError(f"sessions={sessions!r} is not known: use all, unclean or none")
    listed: dict[str, Tally] = {}
    for key, tally in account.sessions.items():
        if len(listed) < SESSIONS_LISTED_MAX and (sessions == "all" or (sessions == "unclean" and not tally.is_clean)):
            listed[key] = tally
    return {
        "is_clean": account.is_clean,
        **msgspec.structs.asdict(account),
        "sessions": listed,
        "player_sessions": len(account.sessions),
    }


def list_received(players: Iterable[PlayerLog], limit: int) -> Iterator[dict[str, object]]:
    """One line for each player session, up to a number of events; then a last line that says how many player sessions were left off."""
    left_off = 0
    for log in players:
        if limit < len(log.entries):
            left_off += 1
            continue
        limit -= len(log.entries)
        yield {
            "session": log.key,
            "events": [
                {
                    "ts": entry.heard.ts,
                    "eventType": entry.heard.event_type,
                    "playhead": entry.heard.playhead,
                    "outcome": entry.outcome.name.lower(),
                    "apiSession": entry.session.session_id if entry.session else None,
                }
                for entry in log.entries
            ],
        }
    if left_off:
        yield {"sessions_left_off": left_off}


def read_produced(body: bytes) -> dict[str, list[Identity]]:
    """Read JSON lines of what was produced, by player session, in order."""
    produced: dict[str, list[Identity]] = {}
    decode = msgspec.json.Decoder(Produced).decode
    for number, line in enumerate(body.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            event = decode(line)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ValueError(f"line {number}: {error}") from error
        produced.setdefault(event.session, []).append((event.ts, event.event_type))
    return produced


def _json(value: object) -> Reply:
    return Reply(HTTPStatus.OK, _JSON, msgspec.json.encode(value))


def _complain(status: int, message: str) -> Reply:
    return Reply(status, _JSON, msgspec.json.encode({"message": message}))
