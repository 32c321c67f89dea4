"""Pictures in requests, for models that see none: told in words, as those that are attached to questions are."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.actions.files import SEND

#: Pictures of a request that are described; looking at one takes seconds.
MOST_DESCRIBED = 8

_DATA = re.compile(r"data:(image/[a-z0-9.+-]{1,60});base64,", re.IGNORECASE)


async def describe(
    chat: Chat, messages: Sequence[dict[str, Any]], tier: str, principal: Principal
) -> list[dict[str, Any]]:
    """The messages as a tier's model can take them: where it sees none, descriptions stand for pictures (record 18).

    Raises Invalid for a picture that isn't in the request itself, TooManyRequests, Unavailable.
    """
    pictures = sum(part["type"] == "image_url" for message in messages for part in _parts(message))
    if not pictures or all(each.sees for each in chat.runtime.settings.tier(tier).endpoints):
        return list(messages)
    if pictures > MOST_DESCRIBED:
        raise Invalid(fields={"messages": f"have at most {MOST_DESCRIBED} pictures for a model that sees none"})
    await chat.runtime.limits.take(SEND, principal, cost=pictures)
    return [
        {**message, "content": [await _told(chat, part) for part in parts]} if (parts := _parts(message)) else message
        for message in messages
    ]


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


async def _told(chat: Chat, part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "image_url":
        return part
    url = part.get("image_url", {}).get("url", "")
    found = _DATA.match(url)
    if found is None:
        # We fetch nothing that a stranger names: it could be an address that only we can reach.
        raise Invalid(fields={"image_url": "is a data: URL with an image in base64; other addresses aren't fetched"})
    try:
        data = base64.b64decode(url[found.end() :], validate=True)
    except binascii.Error as error:
        raise Invalid(fields={"image_url": "isn't base64"}) from error
    read = await chat.reader.read(data, "picture", found[1].lower())
    return {"type": "text", "text": f"[A picture: {read.how}]\n{read.text}".rstrip()}
