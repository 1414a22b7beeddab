"""How often it failed → how long to wait. Exponential, with full jitter that the pump draws."""

import msgspec

_EXPONENT_MAX = 32  # past this any sensible maximum is long reached; keeps 2**n small


class Backoff(msgspec.Struct, frozen=True):
    """The bounds of the waiting time between two tries of one call."""

    seconds_initial: float = 0.5
    seconds_max: float = 30.0
    retry_after_seconds_max: float = 300.0

    def jitter_seconds(self, failures: int) -> float:
        """The longest wait after so many failures in a row; the pump draws a moment below it."""
        return min(self.seconds_max, self.seconds_initial * 2.0 ** min(failures - 1, _EXPONENT_MAX))

    def asked_seconds(self, retry_after_seconds: float) -> float:
        """What the API asked for, within reason."""
        return min(max(retry_after_seconds, 0.0), self.retry_after_seconds_max)
