"""The few exceptions that stop the service. Each has an exit code, and a message that says what to change.

    RelayError                  1  anything of ours that ends the process
    ├── SettingsError           3  a setting is missing or wrong
    ├── TopicError              3  a topic is missing or unfit, and we may not or cannot put it right
    ├── Unreachable             4  Kafka or the API cannot be reached at the start
    └── FatalConsumerError      5  the consumer was fenced: somebody else is what we thought we were

What the outside does while the service runs is no exception but data; what cannot be is an assertion. Neither is found here.
"""

from typing import ClassVar


class RelayError(Exception):
    """Ends the process with `exit_code` and one line on stderr."""

    exit_code: ClassVar[int] = 1


class SettingsError(RelayError):
    """A setting is missing or wrong; the message names it, and what it should be."""

    exit_code: ClassVar[int] = 3


class TopicError(RelayError):
    """A topic is missing or unfit; the message says what to create or to alter."""

    exit_code: ClassVar[int] = 3


class Unreachable(RelayError):  # noqa: N818  # it names what was found
    """Kafka or the API did not answer in time; the message says which address, and what to check."""

    exit_code: ClassVar[int] = 4


class FatalConsumerError(RelayError):
    """Kafka will not serve this consumer any more; the message says who took its place, as far as is known."""

    exit_code: ClassVar[int] = 5
