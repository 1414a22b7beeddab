"""What stands in the answers of the Media Edge: the new session, the location hint, and problems.

In: the body of an answer, whatever it holds. Out: what could be read of it, as plain values; never an exception. Each part is read on its
own, so that nonsense in one place hides nothing in another.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

import msgspec

from relay.core.events import ApiSessionId, as_session_id

_T = TypeVar("_T")

_CODE: Final = re.compile(r"(?:va-edge|EXEG)-[0-9]{4}-[0-9]{3}")
_HINT: Final = re.compile(r"[a-z0-9]{1,16}")
_UNREAD_CHARACTERS_MAX: Final = 500
_ABSENT: Final = msgspec.Raw(b"null")
_NEW_SESSION: Final = "media-analytics:new-session"
_LOCATION_HINT: Final = "locationHint:result"

_CHECK_DATASTREAM: Final = "check RELAY_API__DATASTREAM_ID, and the datastream itself"
_OURS: Final = {
    "EXEG-0002": f"the Edge misses the datastream: {_CHECK_DATASTREAM}",
    "EXEG-0003": f"the Edge does not know the datastream: {_CHECK_DATASTREAM}",
    "EXEG-0004": f"the Edge cannot use the datastream: {_CHECK_DATASTREAM}",
    "EXEG-001": f"the Edge cannot use the datastream or its sandbox: {_CHECK_DATASTREAM}",  # 0010 to 0013: configuration, says Adobe
    "EXEG-0400": "the Edge refuses the place that we come from: check the address of the relay, and what the organisation allows",
    "EXEG-05": "the Edge asks for credentials, which the Media Edge API does without: check RELAY_API__URL and RELAY_API__HEADERS",
}


class Problem(NamedTuple):
    """One problem that the Edge reports."""

    code: str  # va-edge-0NNN-NNN or EXEG-NNNN-NNN; empty when there is none
    reasons: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What the operator should check, where the problem is our own fault; else empty."""
        advice = next((advice for beginning, advice in _OURS.items() if self.code.startswith(beginning)), "")
        return f"{self.code}: {advice}" if advice else ""

    @property
    def is_of_the_body(self) -> bool:
        """Whether the Media API found fault with what we sent."""
        return self.code.startswith("va-edge-0400")


class Reply(NamedTuple):
    """The body of an answer, as far as it can be read."""

    is_envelope: bool = False  # a JSON object, as the Edge sends them
    named_session: str = ""  # what stands where the session's id should
    session_id: ApiSessionId | None = None
    hint: str = ""
    problems: tuple[Problem, ...] = ()
    unread: str = ""  # the beginning of what is no JSON object


class _Envelope(msgspec.Struct, gc=False):
    """An answer: handles and errors side by side, or one problem that is the answer itself."""

    handle: msgspec.Raw = _ABSENT
    errors: msgspec.Raw = _ABSENT


class _Problem(msgspec.Struct, gc=False):
    type: msgspec.Raw = _ABSENT
    title: msgspec.Raw = _ABSENT
    detail: msgspec.Raw = _ABSENT
    report: msgspec.Raw = _ABSENT


class _Report(msgspec.Struct, gc=False):
    details: msgspec.Raw = _ABSENT


class _Fault(msgspec.Struct, gc=False):
    reason: str
    name: str = ""


class _Handle(msgspec.Struct, gc=False):
    type: str
    payload: msgspec.Raw = _ABSENT


class _Session(msgspec.Struct, gc=False):
    sessionId: str = ""  # noqa: N815  # the wire's name; in requests it is sessionID


class _Hint(msgspec.Struct, gc=False):
    scope: str = ""
    hint: str = ""


_envelope = msgspec.json.Decoder(_Envelope).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_problem = msgspec.json.Decoder(_Problem).decode
_report = msgspec.json.Decoder(_Report).decode
_fault = msgspec.json.Decoder(_Fault).decode
_handle = msgspec.json.Decoder(_Handle).decode
_session = msgspec.json.Decoder(_Session).decode
_hint = msgspec.json.Decoder(_Hint).decode
_text = msgspec.json.Decoder(str).decode


def read_reply(body: bytes) -> Reply:
    """Read an answer."""
    envelope = _read(_envelope, body)
    if envelope is None:
        return Reply(unread=" ".join(body.decode("utf-8", "replace").split())[:_UNREAD_CHARACTERS_MAX])
    handles = list(_each(_handle, envelope.handle))
    named = [one.sessionId for one in _payloads(handles, _NEW_SESSION, _session) if one.sessionId]
    session_id = next(filter(None, map(as_session_id, named)), None)
    # Only the Edge Network's own hint is a part of the address; the others are meant for other products.
    hints = (one.hint for one in _payloads(handles, _LOCATION_HINT, _hint) if one.scope == "EdgeNetwork" and is_hint(one.hint))
    problems = (*map(_known, _listed(envelope.errors)), _known(msgspec.Raw(body)))
    return Reply(
        is_envelope=True,
        named_session="".join(named[:1]),
        session_id=session_id,
        hint=next(hints, ""),
        problems=tuple(problem for problem in problems if problem.code or problem.reasons),
    )


def is_hint(text: str) -> bool:
    """Whether the text may become a segment of a path."""
    return _HINT.fullmatch(text) is not None


def reasons(reply: Reply) -> str:
    """All that the API says on what it refused, for the dead letter."""
    said = [reason for problem in reply.problems for reason in problem.reasons or (problem.code,)]
    return "; ".join(dict.fromkeys(said)) or reply.unread or "the API gave no reason"


def _known(json: msgspec.Raw) -> Problem:
    problem = _read(_problem, json)
    if problem is None:
        return Problem("", (_said(json),))
    code = _CODE.search(_read(_text, problem.type) or "")
    said = [text for text in map(_said, (problem.detail, problem.title)) if text][:1]
    report = _read(_report, problem.report)
    return Problem(code[0] if code else "", tuple(_details(report.details) if report else ()) or tuple(said))


def _details(details: msgspec.Raw) -> Iterator[str]:
    """The faults that a report lists, or the one sentence that it holds instead."""
    for one in _listed(details):
        fault = _read(_fault, one)
        said = _said(one) if fault is None else f"{fault.name}: {fault.reason}" if fault.name else fault.reason
        if said:
            yield said


def _said(json: msgspec.Raw) -> str:
    """A string's text; of anything else, its JSON."""
    text = _read(_text, json)
    return text if text is not None else "" if json == _ABSENT else bytes(json).decode("utf-8", "replace")


def _listed(json: msgspec.Raw) -> list[msgspec.Raw]:
    """A list's items; what stands there instead of a list, alone."""
    items = _read(_items, json)
    return items if items is not None else [json] if json != _ABSENT else []


def _payloads(handles: list[_Handle], kind: str, decode: Callable[[msgspec.Raw], _T]) -> Iterator[_T]:
    for handle in handles:
        if handle.type == kind:
            yield from _each(decode, handle.payload)


def _each(decode: Callable[[msgspec.Raw], _T], items: msgspec.Raw) -> Iterator[_T]:
    """The items of a list that are what they should be."""
    for item in _read(_items, items) or ():
        decoded = _read(decode, item)
        if decoded is not None:
            yield decoded


_Json = TypeVar("_Json", bytes, msgspec.Raw)


def _read(decode: Callable[[_Json], _T], json: _Json) -> _T | None:
    try:
        return decode(json)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
