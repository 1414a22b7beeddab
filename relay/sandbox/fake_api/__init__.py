"""The strict fake of the media API: `FakeApi`, on a socket or below an httpx client, and the `Account` of what it got."""

from relay.sandbox.fake_api.api import FakeApi
from relay.sandbox.fake_api.dialect import PLAYER_SESSION_KEY, Reply
from relay.sandbox.fake_api.tally import Account, Tally
from relay.sandbox.fake_api.transport import FakeApiTransport

__all__ = ["PLAYER_SESSION_KEY", "Account", "FakeApi", "FakeApiTransport", "Reply", "Tally"]
