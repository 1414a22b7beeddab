"""Settings: from the environment, a file and a directory of secrets to frozen groups.

Only `app.py`, `wiring.py` and `errands.py` read them.
"""

from relay.settings.loading import Settings, Shown, known_settings, load, masked, reread
from relay.settings.sources import environment_name

__all__ = ["Settings", "Shown", "environment_name", "known_settings", "load", "masked", "reread"]
