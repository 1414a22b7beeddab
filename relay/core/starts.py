"""What a `sessionStart` says: completed from defaults for a session that is joined late, marked as resumed for one that was lost."""

from collections.abc import Mapping

import msgspec

from relay.core.events import Details

_RESUME = "media.resume"


class Starts:
    """Knows which params the API requires, and the operator's defaults for them."""

    def __init__(self, *, required: frozenset[str], defaults: Mapping[str, object] | None = None, may_join: bool = True) -> None:
        """With `may_join` false, a session without a `sessionStart` is never opened."""
        self._required = required
        self._defaults = dict(defaults or {})
        self._may_join = may_join

    def for_joining(self, brought: Details | None) -> Details | None:
        """The start of a session that is already under way, or None when too little is known to open it."""
        if not self._may_join:
            return None
        known = brought or Details()
        params = self._defaults | _decode(known.params)
        if not self._required <= params.keys():
            return None
        return Details(params=msgspec.json.encode(params), custom_metadata=known.custom_metadata)


def resumed(start: Details) -> Details:
    """The same start, saying that it goes on with an earlier session."""
    params = _decode(start.params) | {_RESUME: True}
    return Details(params=msgspec.json.encode(params), custom_metadata=start.custom_metadata)


def _decode(params: bytes) -> dict[str, object]:
    return msgspec.json.decode(params, type=dict[str, object]) if params else {}
