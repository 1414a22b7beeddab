"""What simulated players show: a title with its metadata, its ads and its chapters, as the params of the classic API.

In: the player's own random numbers. Out: JSON objects that a strict API accepts. The names are made up; lengths are seconds.
"""

from collections.abc import Mapping
from random import Random
from typing import Final, TypeAlias

import msgspec

from relay.sandbox.shapes import Shape

Object: TypeAlias = dict[str, object]

PLAYER_NAME: Final = "sandbox-player"

# One name has a letter beyond ASCII, as real ones do.
_SHOWS: Final = ("The Long Tide", "Paper Lanterns", "Night Ferry", "Café Meridian", "Signals", "A Field in Winter")
_GENRES: Final = ("drama", "drama,crime", "documentary", "comedy", "sports", "news")
_CHANNELS: Final = ("north", "south", "kids", "sports")
_PLANS: Final = ("free", "silver", "gold")
_ADVERTISERS: Final = ("Bramble Tea", "Northwind Cycles", "Oakline", "Zephyr Mobile")
_AUDIO_SHARE: Final = 0.15
_KNOWN_CUSTOMER_SHARE: Final = 0.3


class Title(msgspec.Struct, frozen=True, gc=False):
    """What one session is about."""

    length_ms: int
    has_chapters: bool
    params: Object
    custom_metadata: Mapping[str, str]


def draw_title(session_key: str, random: Random, shape: Shape) -> Title:
    """Choose what this session shows."""
    length_ms = int(random.uniform(shape.content_seconds_min, shape.content_seconds_max) * 1000)
    if shape.events_exactly:
        length_ms = int(shape.events_exactly * shape.ping_seconds * 1000)
    params = _draw_viewer(random) | _draw_content(random, length_ms)
    return Title(
        length_ms=length_ms,
        has_chapters=random.random() < shape.chapter_share,
        params=params,
        custom_metadata={"playerSession": session_key, "plan": random.choice(_PLANS), "app.theme": "dark"},
    )


def _draw_viewer(random: Random) -> Object:
    params: Object = {
        "analytics.trackingServer": "sandbox.sc.example.net",
        "analytics.reportSuite": "sandbox",
        "analytics.enableSSL": True,
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
        "visitor.marketingCloudUserId": str(random.randrange(10**37, 10**38)),
        "visitor.aamLocationHint": random.randrange(1, 12),
        "appInstallationId": f"{random.getrandbits(64):016x}",
    }
    if random.random() < _KNOWN_CUSTOMER_SHARE:
        params["visitor.customerIDs"] = {"account": {"id": f"c-{random.getrandbits(32):08x}", "authState": random.randrange(3)}}
    return params


def _draw_content(random: Random, length_ms: int) -> Object:
    number = random.randrange(1, 400)
    params: Object = {
        "media.id": f"title-{number}",
        "media.length": length_ms / 1000,
        "media.playerName": PLAYER_NAME,
        "media.channel": random.choice(_CHANNELS),
        "media.resume": False,
        "media.downloaded": False,
        "media.sdkVersion": "4.2.0",
    }
    if random.random() < _AUDIO_SHARE:
        return params | {
            "media.name": f"Episode {number}",
            "media.contentType": "podcast",
            "media.streamType": "audio",
            "media.artist": "The Sandbox Players",
            "media.album": random.choice(_SHOWS),
            "media.station": "Sandbox One",
        }
    show = random.choice(_SHOWS)
    return params | {
        "media.name": f"{show} {number}",
        "media.contentType": "vod",
        "media.streamType": "video",
        "media.show": show,
        "media.season": str(1 + number // 40),
        "media.episode": str(1 + number % 40),
        "media.genre": random.choice(_GENRES),
        "media.firstAirDate": "2024-03-09",
        "media.showType": "0",
    }


def ad_break_params(*, index: int, playhead_ms: int) -> Object:
    """Describe a break of ads; the first one of a session has index 1."""
    name = "preroll" if playhead_ms == 0 else "midroll"
    return {"media.ad.podIndex": index, "media.ad.podSecond": playhead_ms / 1000, "media.ad.podFriendlyName": name}


def draw_ad(random: Random, *, position: int, length_ms: int) -> tuple[Object, Mapping[str, str]]:
    """Choose an ad: its params and what the player adds of its own."""
    advertiser = random.choice(_ADVERTISERS)
    params: Object = {
        "media.ad.id": f"ad-{random.randrange(1, 1000)}",
        "media.ad.name": f"{advertiser} spot",
        "media.ad.length": length_ms / 1000,
        "media.ad.podPosition": position,
        "media.ad.playerName": PLAYER_NAME,
        "media.ad.advertiser": advertiser,
        "media.ad.campaignId": f"campaign-{random.randrange(1, 50)}",
    }
    return params, {"deal": f"d{random.randrange(1, 20)}"}


def chapter_params(*, number: int, offset_ms: int, length_ms: int) -> Object:
    """Describe a chapter; the first one of a title has index 1."""
    return {
        "media.chapter.index": number,
        "media.chapter.offset": offset_ms / 1000,
        "media.chapter.length": length_ms / 1000,
        "media.chapter.friendlyName": f"Chapter {number}",
    }
