"""Files that are attached to questions: kept as objects, and read once."""

import asyncio
import re

from tenfold.platform.blobs import extension
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit
from tenfold.systems.chat.actions import safety
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.errors import FileEmpty, FileNotFound, FileRefused, FilesFull
from tenfold.systems.chat.rules import moderation
from tenfold.systems.chat.rules.context import estimate
from tenfold.systems.chat.store import files as store
from tenfold.systems.chat.types import File, StoredFile

#: Files that somebody sends.
SEND = Limit(
    "chat.file", {"anonymous": "1/minute", "free": "20/minute", "plus": "60/minute", "enterprise": "600/minute"}
)
#: Accounts whose abandoned files are looked for at once.
AT_ONCE = 100
#: Characters of a file that are judged together, and those that are judged again with what follows them.
PART, SHARED = 10_000, 500
ANYTHING = "application/octet-stream"

_TYPE = re.compile(r"[a-z0-9.+-]{1,63}/[a-z0-9.+-]{1,127}")


async def keep(chat: Chat, data: bytes, name: str, media_type: str, principal: Principal) -> File:
    """Keep a file and read it, for a question to come.

    Raises Unauthorized, TooManyRequests, FileEmpty, FileRefused, FilesFull, Unavailable.
    """
    account_id = principal.require("chat")
    await chat.runtime.limits.take(SEND, principal)
    if not data:
        raise FileEmpty
    read = await chat.reader.read(data, name, media_type)
    number = chat.runtime.ids.next()
    await _check(chat, account_id, number, f"{name}\n{read.text}")  # models are told both
    text = await safety.redact(read.text) if chat.settings.redact_pii else read.text
    kind = media_type.lower() if _TYPE.fullmatch(media_type.lower()) else ANYTHING
    file = StoredFile(
        id=str(number),
        name=name,
        type=kind,
        size=len(data),
        key=f"chat/files/{account_id}/{number}.{extension(kind)}",
        text=text,
        tokens=await asyncio.to_thread(estimate, text),
        how=read.how,
    )
    # The row comes first: if we end here, it is what the object is found and removed by.
    async with chat.runtime.db.transaction() as tx:
        if await store.count_bytes(tx, account_id) + len(data) > chat.settings.file_bytes:
            raise FilesFull(most=chat.settings.file_bytes // 1024**2)
        await store.insert_file(tx, account_id, file)
    await chat.runtime.blobs.put(file.key, data)
    return shown(file)


async def _check(chat: Chat, account_id: int, number: int, said: str) -> None:
    """Judge what a file says, all of it. Of one that is refused, the part that was flagged is kept for review.

    Raises FileRefused.
    """
    for at in range(0, len(said), PART - SHARED):
        part = said[at : at + PART]
        judged = await safety.judge(part)
        if moderation.refuses(judged, len(said)):
            async with chat.runtime.db.transaction() as tx:
                await safety.note_flagged(tx, account_id, number, "file", judged, part)
            raise FileRefused


async def find(chat: Chat, file_id: int, principal: Principal) -> StoredFile:
    """One's own file. Raises FileNotFound."""
    account_id = principal.require("chat")
    async with chat.runtime.db.read(fresh=True) as tx:
        file = await store.find_file(tx, account_id, file_id)
    if file is None:
        raise FileNotFound
    return file


async def remove_abandoned(chat: Chat) -> None:
    """Remove all files that no question has wanted for a day, account by account."""
    while True:
        async with chat.runtime.db.read(fresh=True) as tx:
            account_ids = await store.list_abandoning(tx, AT_ONCE)
        if not account_ids:
            return
        for account_id in account_ids:
            # The objects go while the rows are locked: whatever ends in between, what is left is found again.
            async with chat.runtime.db.transaction() as tx:
                keys = await store.delete_abandoned(tx, account_id)
                if keys:
                    await chat.runtime.blobs.delete(*keys)


def shown(file: StoredFile) -> File:
    """A file as the API has it, but for its address."""
    return File(id=file.id, name=file.name, type=file.type, size=file.size)
