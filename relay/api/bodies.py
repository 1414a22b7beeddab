"""What an answer says, up to a bound.

In: an answer of httpx. Out: the beginning of its body, decoded; empty when it has a content encoding that is none, since its status still
counts.
"""

from typing import Final

import httpx

ANSWER_BYTES_READ_MAX: Final = 65_536  # what a refusal may say of itself, and an opening: an id that is cut off would be asked for again


async def read_body(response: httpx.Response) -> bytes:
    """Read until there is enough, and close."""
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= ANSWER_BYTES_READ_MAX:
                break
    except httpx.DecodingError:
        body = b""
    finally:
        await response.aclose()
    return body


def body_at_hand(response: httpx.Response) -> bytes:
    """The same for an answer whose bytes lie in memory already."""
    body = b""
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) >= ANSWER_BYTES_READ_MAX:
                break
    except httpx.DecodingError:
        body = b""
    return body
