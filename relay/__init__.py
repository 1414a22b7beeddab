"""The relay: raw player events from Kafka become ordered API sessions at a media analytics API."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("relay")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
