"""Conversations: begun, listed, changed, asked in. Whose they are is in every statement."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from tenfold.platform.db import Tx
from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Bucket
from tenfold.systems.chat.actions import safety
from tenfold.systems.chat.actions.answering import QUIET
from tenfold.systems.chat.actions.completions import ASK
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.actions.files import shown
from tenfold.systems.chat.errors import (
    FileNotFound,
    KeyReused,
    MessageNotFound,
    ThreadFull,
    ThreadNotFound,
    TooManyAnswers,
)
from tenfold.systems.chat.store import files
from tenfold.systems.chat.store import threads as store
from tenfold.systems.chat.store import usage as ledger
from tenfold.systems.chat.types import (
    Ask,
    AskAgain,
    BeginThread,
    ChangeThread,
    Conversation,
    Exchange,
    Message,
    RateLeft,
    Thread,
    Threads,
    UsageReport,
    UsageRow,
)

#: Messages of a conversation, and days of the usage that are shown.
MOST_MESSAGES, DAYS = 2000, 30

_QUOTES = str.maketrans({"'": "''", "\\": "\\\\", "\0": " "})


async def begin(chat: Chat, wish: BeginThread, principal: Principal) -> Thread:
    """Raises Unauthorized, as everything here."""
    account_id = principal.require("chat")
    async with chat.runtime.db.transaction() as tx:
        return await store.insert_thread(
            tx, account_id, chat.runtime.ids.next(), wish.title or "", wish.model, named=wish.title is not None
        )


async def list_threads(chat: Chat, principal: Principal, query: str, cursor: str | None, limit: int) -> Threads:
    """A page of somebody's conversations; `query` is words of which each begins one in the title or in a message."""
    account_id = principal.require("chat")
    words = _read_query(query)
    async with chat.runtime.db.read(fresh=True) as tx:
        found = await store.list_threads(tx, account_id, words, _read_cursor(cursor), limit + 1)
    more = len(found) > limit
    last = found[limit - 1] if more else None
    following = f"{last.updated_at.timestamp():.6f}_{last.id}" if last else None
    return Threads(found[:limit], following)


def _read_query(query: str) -> str:
    """Words as to_tsquery has them. Quoted, so that they are taken apart as the texts were: row_number, example.org."""
    words = [word.translate(_QUOTES) for word in query.split() if any(map(str.isalnum, word))]
    return " & ".join(f"'{word}':*" for word in words[:8])


def _read_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    seconds, _, number = (cursor or "").partition("_")
    id = read_id(number)  # noqa: A001 - what it is called
    if not re.fullmatch(r"\d{1,12}\.\d{6}", seconds) or id is None:
        return None
    # In whole microseconds: a float doesn't hold so many digits.
    whole, _, fraction = seconds.partition(".")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(whole), microseconds=int(fraction)), id


async def read(chat: Chat, thread_id: int, principal: Principal) -> Conversation:
    """A conversation with all its branches; of a very long one the newest messages. Raises ThreadNotFound."""
    account_id = principal.require("chat")
    async with chat.runtime.db.read(fresh=True) as tx:
        thread = await store.find_thread(tx, account_id, thread_id)
        if thread is None:
            raise ThreadNotFound
        messages = await store.list_messages(tx, account_id, thread_id, MOST_MESSAGES)
        attached = await files.list_shown(tx, account_id, thread_id)
    known = {message.id: message for message in messages}
    for each in attached:
        message = known.get(each.message_id or "")
        if message is not None:
            message.attachments = [*message.attachments, shown(each)]
    return Conversation(thread, messages)


async def change(chat: Chat, thread_id: int, wish: ChangeThread, principal: Principal) -> Thread:
    """Raises ThreadNotFound, and MessageNotFound for a head in another conversation."""
    account_id = principal.require("chat")
    head = None if wish.head_id is None else int(wish.head_id)
    async with chat.runtime.db.transaction() as tx:
        if head is not None:
            message = await store.find_message(tx, account_id, head)
            if message is None or int(message.thread_id) != thread_id:
                raise MessageNotFound
        thread = await store.change_thread(tx, account_id, thread_id, wish.title, wish.model, head)
    if thread is None:
        raise ThreadNotFound
    return thread


async def delete(chat: Chat, thread_id: int, principal: Principal) -> None:
    """Delete a conversation with all that was said. Raises ThreadNotFound."""
    account_id = principal.require("chat")
    async with chat.runtime.db.transaction() as tx:
        keys = await files.list_keys(tx, account_id, thread_id)
        unfinished = await store.list_open(tx, account_id, thread_id)
        if not await store.delete_thread(tx, account_id, thread_id):
            raise ThreadNotFound
    for message_id in unfinished:
        await chat.answering.stop(message_id)
    if keys:
        await chat.runtime.blobs.delete(*keys)


async def ask(
    chat: Chat, thread_id: int, wish: Ask, principal: Principal, *, idempotency_key: str | None = None
) -> Exchange:
    """Keep a question; the answer begins behind it.

    A client that sends the same key again within a day gets what it has asked, as that is by then.
    Raises ThreadNotFound, MessageNotFound for a parent of another conversation, ThreadFull, TooManyAnswers,
    TooManyRequests, BudgetSpent, and KeyReused for a key of another question.
    """
    account_id = principal.require("chat")
    if idempotency_key is not None:  # before it counts: who asks again has asked once
        async with chat.runtime.db.read(fresh=True) as tx:
            if made := await _find_exchange(tx, account_id, thread_id, idempotency_key, wish):
                return made
    await _admit(chat, account_id, principal)
    judged = await safety.judge(wish.text)
    ids = [int(each) for each in dict.fromkeys(wish.attachments)]
    async with chat.runtime.db.transaction() as tx:
        await store.lock_account(tx, account_id)
        # The same may have been asked at the same time: now that we are alone, it is here or it isn't.
        if idempotency_key is not None and (
            made := await _find_exchange(tx, account_id, thread_id, idempotency_key, wish)
        ):
            return made
        await _check_open(chat, tx, account_id)
        thread = await store.find_thread(tx, account_id, thread_id)
        if thread is None:
            raise ThreadNotFound
        if await store.count_messages(tx, account_id, thread_id) + 2 > MOST_MESSAGES:
            raise ThreadFull(most=MOST_MESSAGES)
        if wish.parent_id is not None:
            parent = await store.find_message(tx, account_id, int(wish.parent_id))
            if parent is None or parent.thread_id != thread.id:
                raise MessageNotFound
            if parent.role != "assistant":
                raise Invalid(fields={"parent_id": "is an answer; a question goes on from one"})
        attached = {int(each.id): each for each in await files.attach_files(tx, account_id, ids, thread_id)}
        if len(attached) != len(ids):
            raise FileNotFound
        asked = _message(chat, thread, wish.parent_id, "user", wish.text, flagged=judged.flagged)
        question = await store.insert_message(tx, account_id, asked, ids)
        question.attachments = [shown(attached[each]) for each in ids]
        answer = await _insert_answer(chat, tx, account_id, thread, question)
        if idempotency_key is not None:
            asked_by_key = store.Asked(int(question.id), int(answer.id))
            await store.insert_asked(tx, account_id, thread_id, idempotency_key, asked_by_key)
        if judged.flagged:
            await safety.note_flagged(tx, account_id, int(question.id), "question", judged, wish.text)
    chat.answering.begin(account_id, thread, answer)
    return Exchange(question, answer)


async def _find_exchange(tx: Tx, account_id: int, thread_id: int, key: str, wish: Ask) -> Exchange | None:
    """What was asked with a key, as it is now. Raises KeyReused where that was something else."""
    asked = await store.find_asked(tx, account_id, thread_id, key)
    if asked is None:
        return None
    question = await store.find_message(tx, account_id, asked.question_id)
    answer = await store.find_message(tx, account_id, asked.answer_id)
    if question is None or answer is None:
        return None
    question.attachments = [shown(each) for each in await files.list_files(tx, account_id, [asked.question_id])]
    sent = [each.id for each in question.attachments]
    if (question.text, question.parent_id, sent) != (wish.text, wish.parent_id, list(dict.fromkeys(wish.attachments))):
        raise KeyReused
    return Exchange(question, answer)


async def ask_again(chat: Chat, message_id: int, wish: AskAgain, principal: Principal) -> Message:
    """Another answer to the question that a message answers. Raises as `ask` does."""
    account_id = principal.require("chat")
    await _admit(chat, account_id, principal)
    async with chat.runtime.db.transaction() as tx:
        await store.lock_account(tx, account_id)
        await _check_open(chat, tx, account_id)
        old = await store.find_message(tx, account_id, message_id)
        if old is None or old.role != "assistant" or old.parent_id is None:
            raise MessageNotFound
        thread = await store.find_thread(tx, account_id, int(old.thread_id))
        if await store.count_messages(tx, account_id, int(old.thread_id)) + 1 > MOST_MESSAGES:
            raise ThreadFull(most=MOST_MESSAGES)
        question = await store.find_message(tx, account_id, int(old.parent_id))
        if thread is None or question is None:
            raise MessageNotFound
        answer = await _insert_answer(chat, tx, account_id, thread, question)
    if wish.model is not None:
        thread.model = wish.model
    chat.answering.begin(account_id, thread, answer)
    return answer


async def stop(chat: Chat, message_id: int, principal: Principal) -> None:
    """End an answer; what was shown stays. Raises MessageNotFound."""
    account_id = principal.require("chat")
    await find_message(chat, account_id, message_id)
    await chat.answering.stop(message_id)
    async with chat.runtime.db.transaction() as tx:
        await store.stop_silent(tx, account_id, message_id, QUIET)


async def find_message(chat: Chat, account_id: int, message_id: int) -> Message:
    """Raises MessageNotFound, also for what is somebody else's."""
    async with chat.runtime.db.read(fresh=True) as tx:
        message = await store.find_message(tx, account_id, message_id)
    if message is None:
        raise MessageNotFound
    return message


async def read_usage(chat: Chat, principal: Principal) -> UsageReport:
    """What an account has used in the last days, and what it may."""
    account_id = principal.require("chat")
    since = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
    async with chat.runtime.db.read(fresh=True) as tx:
        spent = await ledger.list_usage(tx, account_id, since)
    rows = [
        UsageRow(each.day, each.model, each.requests, each.tokens_in, each.tokens_out, each.cost / 1_000_000)
        for each in spent
    ]
    taken: Sequence[Bucket] = (await chat.runtime.limits.take(ASK, principal, cost=0)).buckets
    return UsageReport(rows, principal.tier, RateLeft(taken[0].rate.burst, taken[0].remaining))


async def _admit(chat: Chat, account_id: int, principal: Principal) -> None:
    await chat.runtime.limits.take(ASK, principal)
    await chat.ledger.check(account_id, principal.tier)


async def _check_open(chat: Chat, tx: Tx, account_id: int) -> None:
    """Raises TooManyAnswers. The account is locked, so that nobody asks beside us."""
    if await store.count_open(tx, account_id) >= chat.settings.answers_at_once:
        raise TooManyAnswers(most=chat.settings.answers_at_once)


async def _insert_answer(chat: Chat, tx: Tx, account_id: int, thread: Thread, question: Message) -> Message:
    answer = await store.insert_message(tx, account_id, _message(chat, thread, question.id, "assistant", ""))
    await store.touch_thread(tx, account_id, int(thread.id), int(answer.id))
    return answer


def _message(
    chat: Chat,
    thread: Thread,
    parent_id: str | None,
    role: Literal["user", "assistant"],
    text: str,
    *,
    flagged: bool = False,
) -> Message:
    return Message(
        id=str(chat.runtime.ids.next()),
        thread_id=thread.id,
        parent_id=parent_id,
        role=role,
        text=text,
        status="complete" if role == "user" else "queued",
        flagged=flagged,
        created_at=datetime.now(UTC),
    )
