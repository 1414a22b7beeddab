"""The Media Edge API: its paths, and which answer goes with what.

In: requests. Out: what they ask for, or an answer. `edge_rules.py` has the rules for a body, `edge_answers.py` the wording.

Where documents leave a choice: `configId` is required on every endpoint; `downloaded` is answered 501; a session that is over is answered
404 or 410, always the same for the same session, both among the sessions of any seed.
"""

import re
from collections.abc import Collection
from http import HTTPStatus
from random import Random
from typing import Final
from urllib.parse import parse_qs

from relay.sandbox.fake_api.dialect import SESSION_START, Asked, Location, Operation, Reply
from relay.sandbox.fake_api.edge_answers import HINTS, Answers
from relay.sandbox.fake_api.edge_fields import EVENTS
from relay.sandbox.fake_api.edge_rules import Broken, Unfit, read_body

_PREFIX: Final = "/ee/"
_PATH: Final = re.compile(rf"/ee/(?:(?:{'|'.join(HINTS)})/)?va/v1/([A-Za-z]+)")
_DOWNLOADED: Final = "downloaded"


class Edge:
    """The Media Edge API."""

    def __init__(self, random: Random, datastream_ids: Collection[str] = ()) -> None:
        """Take where chance comes from, and the datastreams that exist: without any, every id is one."""
        self._answers = Answers(random)
        self._datastream_ids = frozenset(datastream_ids)

    def owns(self, path: str) -> bool:
        """Whether the path is below `/ee/`."""
        return path.startswith(_PREFIX)

    def understand(self, method: str, target: str, body: bytes) -> Asked | Reply:
        """Read a request; a reply means that it breaks a rule."""
        path, _, query = target.partition("?")
        match = _PATH.fullmatch(path)
        event = match[1] if match else ""
        if event not in EVENTS and event != _DOWNLOADED:
            return self._answers.nothing_here(HTTPStatus.NOT_FOUND, "there is nothing at this path")
        if method != "POST":
            return self._answers.nothing_here(HTTPStatus.METHOD_NOT_ALLOWED, "use POST")
        return self._find_datastream(query) or self._read(event, body)

    def _find_datastream(self, query: str) -> Reply | None:
        datastream_id = parse_qs(query).get("configId", [""])[-1]
        if not datastream_id:
            return self._answers.unfit("0002-400", "the parameter configId is missing, which names the datastream")
        if self._datastream_ids and datastream_id not in self._datastream_ids:
            return self._answers.unfit("0003-400", "there is no datastream with this configId")
        return None

    def _read(self, event: str, body: bytes) -> Asked | Reply:
        answers = self._answers
        if event == _DOWNLOADED:
            return answers.nothing_here(HTTPStatus.NOT_IMPLEMENTED, "this fake takes no downloaded content")
        try:
            session_id, heard = read_body(event, body)
        except Unfit as unfit:
            return answers.unfit(unfit.code, str(unfit))
        except Broken as broken:
            return answers.not_opened(broken.details) if event == SESSION_START else answers.broken(broken.details)
        operation = Operation.SESSIONS if event == SESSION_START else Operation.EVENTS
        return Asked(operation, heard[0], session_id, heard[1:])

    def opened(self, session_id: str, location: Location) -> Reply:
        """200, or 207 where another upstream is said to have failed."""
        return self._answers.opened(session_id, location)

    def accepted(self) -> Reply:
        """204, no body."""
        return self._answers.accepted()

    def gone(self, session_id: str, *, was_known: bool) -> Reply:
        """404, and for half of the sessions that were known 410: the documents allow both."""
        is_410 = was_known and int(session_id[-1], 16) % 2 == 1
        return self._answers.gone(HTTPStatus.GONE if is_410 else HTTPStatus.NOT_FOUND)

    def failed(self, operation: Operation, status: int, message: str) -> Reply:
        """Any other status, as a problem object."""
        return self._answers.failed(operation, status, message)
