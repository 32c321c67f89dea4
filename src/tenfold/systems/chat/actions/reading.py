"""Following an answer while it is written, at whatever process."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec

from tenfold.systems.chat.actions.answering import topic_of
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.actions.threads import find_message
from tenfold.systems.chat.errors import MessageNotFound
from tenfold.systems.chat.types import Message

#: Seconds of silence after which the message is looked up: its process may have died.
SILENCE = 5.0
UNFINISHED = ("queued", "streaming")


async def follow(chat: Chat, account_id: int, message: Message) -> AsyncIterator[bytes]:
    """Server-sent events of an answer until it ends.

    Whoever comes, for the first time or again, is told all that was said before; pieces say where they are, so that
    nothing is shown twice. So the ids of events carry nothing that must be remembered.
    """
    if message.status in UNFINISHED:
        async with aclosing(chat.runtime.live.subscribe(topic_of(message.id))) as heard:
            await heard.start()
            yield b"retry: 1000\n: live\n\n"
            try:
                # A short answer may have ended before we could hear that it does, which is said only once.
                message = await find_message(chat, account_id, int(message.id))
                if message.status in UNFINISHED:
                    await chat.answering.say(int(message.id))
                while message.status in UNFINISHED:
                    messages = await heard.take(SILENCE)
                    if messages is None:
                        return
                    ended = False
                    out = b""
                    for each in messages:
                        if each.resync:
                            await chat.answering.say(int(message.id))
                            continue
                        ended = ended or each.data.startswith((b'{"type":"done"', b'{"type":"ended"'))
                        if not ended:
                            out += b"id: %d\ndata: %s\n\n" % (each.id, each.data)
                    if out:
                        yield out
                    if ended or not messages:
                        yield b": still here\n\n"
                        message = await find_message(chat, account_id, int(message.id))
            except MessageNotFound:
                return
    done = msgspec.json.encode({"type": "done", "message": message})
    yield b"data: %s\n\n" % done
