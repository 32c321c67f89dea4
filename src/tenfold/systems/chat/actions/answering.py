"""Answering in conversations: what this process is writing, for readers at any process."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.inference import Queued, Usage
from tenfold.platform.runtime import Runtime
from tenfold.systems.chat.actions import safety
from tenfold.systems.chat.actions.ledger import Ledger
from tenfold.systems.chat.actions.memory import PICTURES, Memory
from tenfold.systems.chat.rules import routing
from tenfold.systems.chat.settings import ChatSettings
from tenfold.systems.chat.store import threads as store
from tenfold.systems.chat.store import usage as ledger_store
from tenfold.systems.chat.types import Message, Said, StoredFile, Thread

log = structlog.get_logger(__name__)

#: Seconds between pieces that readers are sent, and between notes of what was written so far.
SHOWN_EVERY, NOTED_EVERY = 0.04, 1.0
#: Seconds without a note after which an answer's process is dead, and after which stopping it doesn't wait for that.
SILENCE, QUIET = 15.0, 4.0
#: Characters of a live event.
PIECE = 4000
INTERRUPTED = "The process that was writing this answer has ended. Ask again."


class Writing:
    """An answer that is being written here."""

    def __init__(self, account_id: int, thread: Thread, answer: Message) -> None:
        self.account_id = account_id
        self.thread = thread
        self.answer = answer
        self.text = ""
        #: Characters that readers have been sent, and whether there are more.
        self.shown = 0
        self.grown = asyncio.Event()
        #: In the queue.
        self.place = 0
        #: What it took: as the model says in the end, else by tokens asked and pieces said.
        self.usage: Usage | None = None
        self.asked = self.pieces = 0
        self.task: asyncio.Task[None] | None = None
        self.stopped = False
        self.lost = False

    @property
    def taken(self) -> Usage:
        total = self.asked + self.pieces
        return self.usage or Usage(prompt_tokens=self.asked, completion_tokens=self.pieces, total_tokens=total)

    def refuse(self) -> None:
        """Say nothing of what was said."""
        self.text, self.answer.flagged = safety.REFUSAL, True
        self.shown = len(self.text)  # readers are told by the message as a whole, which replaces what they have seen


class Answering:
    """The answers that this process writes. One that it was told of is written down in the end, whatever happens."""

    def __init__(self, runtime: Runtime, settings: ChatSettings, ledger: Ledger) -> None:
        self._runtime = runtime
        self._settings = settings
        self._ledger = ledger
        self._memory = Memory(runtime, settings, ledger)
        self._writing: dict[int, Writing] = {}
        #: What is done behind answers, and what must be done in the end.
        self._behind: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self) -> None:
        self._ends = [
            await self._runtime.bus.on_broadcast("chat.stop", self._on_stop),
            await self._runtime.bus.on_broadcast("chat.say", self._on_say),
        ]

    async def close(self) -> None:
        """Let what is being written end in a few seconds; what doesn't is kept as far as it came."""
        self._closing = True
        tasks = [writing.task for writing in self._writing.values() if writing.task]
        if tasks:
            await asyncio.wait(tasks, timeout=self._settings.stop_patience)
        for task in (*tasks, *self._behind):
            task.cancel()
        await asyncio.gather(*tasks, *self._behind, return_exceptions=True)
        await asyncio.gather(*self._endings, return_exceptions=True)
        for end in self._ends:
            await end()

    def begin(self, account_id: int, thread: Thread, answer: Message) -> None:
        """Write an answer that is kept as queued."""
        writing = Writing(account_id, thread, answer)
        self._writing[int(answer.id)] = writing
        writing.task = asyncio.create_task(self._write(writing), name=f"answer {answer.id}")

    def writing(self) -> list[Writing]:
        return list(self._writing.values())

    def lose(self, writing: Writing) -> None:
        """Write no more of an answer, and keep nothing of it: what the death of a process does. For tests."""
        del self._writing[int(writing.answer.id)]
        writing.lost = True
        if writing.task is not None:
            writing.task.cancel()

    async def idle(self) -> None:
        """Wait until nothing is being written, nor remembered of what was."""
        while tasks := [*(each.task for each in self._writing.values() if each.task), *self._behind, *self._endings]:
            await asyncio.wait(tasks)

    async def stop(self, message_id: int) -> None:
        """End an answer, wherever it is being written."""
        await self._runtime.bus.broadcast("chat.stop", b"%d" % message_id)

    async def say(self, message_id: int) -> None:
        """Let whoever writes an answer tell its readers all that it says so far."""
        with suppress(Unavailable):
            await self._runtime.bus.broadcast("chat.say", b"%d" % message_id)

    async def _on_stop(self, payload: bytes) -> None:
        writing = self._writing.get(int(payload))
        if writing is not None and writing.task is not None:
            writing.stopped = True
            writing.task.cancel()

    async def _on_say(self, payload: bytes) -> None:
        writing = self._writing.get(int(payload))
        if writing is None:
            return
        if writing.answer.model:
            await self._tell(writing, {"type": "start", "model": writing.answer.model})
        elif writing.place:
            await self._tell(writing, {"type": "queued", "place": writing.place})
        if not writing.answer.flagged:
            await self._tell_text(writing, 0, writing.shown)

    async def _write(self, writing: Writing) -> None:
        answer = writing.answer
        beside = [asyncio.create_task(self._beat(writing)), asyncio.create_task(self._show(writing))]
        try:
            await self._stream(writing)
            answer.status = "complete"
        except asyncio.CancelledError:
            answer.status, answer.error = ("stopped", None) if writing.stopped else ("failed", INTERRUPTED)
        except TenfoldError as error:
            answer.status, answer.error = "failed", error.detail
        except Exception:
            log.exception("answer_failed", message_id=answer.id)
            answer.status, answer.error = "failed", "Something went wrong on our side. Ask again."
        finally:
            for each in beside:
                each.cancel()
        if not writing.lost:
            # On its own, so that somebody who stops it twice doesn't stop this.
            ending = asyncio.create_task(self._end(writing), name=f"end of answer {answer.id}")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)

    async def _end(self, writing: Writing) -> None:
        answer, account_id = writing.answer, writing.account_id
        try:
            await self._look(writing)
            answer.text = writing.text
            answer.tokens_in, answer.tokens_out = writing.taken.prompt_tokens, writing.taken.completion_tokens
            async with self._runtime.db.transaction() as tx:
                await store.end_message(tx, account_id, answer, INTERRUPTED)
                if answer.model is not None:
                    await ledger_store.add_usage(tx, [self._ledger.entry(account_id, answer.model, writing.taken)])
            if answer.model is not None:
                self._ledger.count(answer.model, writing.taken)
        except Unavailable:
            log.warning("answer_not_kept", message_id=answer.id)  # it is found silent, with what was noted of it
        finally:
            self._writing.pop(int(answer.id), None)
        await self._tell_text(writing, writing.shown, len(writing.text))
        await self._tell(writing, {"type": "ended"})
        if not answer.flagged and not self._closing:
            task = asyncio.create_task(self._remember(writing), name=f"behind answer {answer.id}")
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)

    async def _remember(self, writing: Writing) -> None:
        try:
            await self._memory.remember(writing.account_id, int(writing.thread.id), int(writing.answer.id))
        except Unavailable:
            log.info("answer_not_remembered", message_id=writing.answer.id)
        except Exception:
            log.exception("remembering_failed", message_id=writing.answer.id)

    async def _stream(self, writing: Writing) -> None:
        """Raises QuestionTooLong, and what Inference raises."""
        answer, account_id, thread_id = writing.answer, writing.account_id, int(writing.thread.id)
        path, attached = await self._memory.read_path(account_id, int(answer.parent_id or 0))
        if not path:  # it is gone already
            return
        if path[-1].flagged:
            writing.refuse()
            return
        tier = _tier(writing.thread, path, attached)
        prompt = await self._memory.prompt(account_id, thread_id, path, attached, tier)
        body = {"messages": prompt.messages, "max_tokens": prompt.answer}
        caller, looked = f"account/{account_id}", 0
        async with self._runtime.inference.stream(tier, body, caller=caller, sticky=writing.thread.id) as steps:
            async for step in steps:
                if isinstance(step, Queued):
                    writing.place = step.place
                    await self._tell(writing, {"type": "queued", "place": step.place})
                    continue
                if answer.model is None:
                    answer.status, answer.model, writing.asked = "streaming", tier, prompt.tokens
                    await self._tell(writing, {"type": "start", "model": tier})
                writing.usage = step.usage or writing.usage
                if step.text:
                    writing.text += step.text
                    writing.pieces += 1
                    writing.grown.set()
                if len(writing.text) - looked >= safety.LOOK:
                    looked = len(writing.text)
                    if await self._look(writing):
                        return

    async def _look(self, writing: Writing) -> bool:
        """Whether the end of an answer may not be shown. If so all of it is taken back, and kept for review."""
        if writing.answer.flagged or not writing.text:
            return False
        judged = await safety.judge(writing.text[-4 * safety.LOOK :])
        if judged.flagged:
            said = writing.text
            writing.refuse()
            async with self._runtime.db.transaction() as tx:
                await safety.note_flagged(tx, writing.account_id, int(writing.answer.id), "answer", judged, said)
        return judged.flagged

    async def _beat(self, writing: Writing) -> None:
        """Keep what was written so far, once a second, and say that we are alive."""
        answer = writing.answer
        while True:
            await asyncio.sleep(NOTED_EVERY)
            with suppress(Unavailable):
                async with self._runtime.db.transaction() as tx:
                    await store.save_progress(
                        tx, writing.account_id, int(answer.id), writing.text, answer.status, answer.model
                    )

    async def _show(self, writing: Writing) -> None:
        """Send readers what there is, the first piece at once and others as they gather."""
        while True:
            await writing.grown.wait()
            writing.grown.clear()
            before, writing.shown = writing.shown, len(writing.text)
            await self._tell_text(writing, before, writing.shown)
            await asyncio.sleep(SHOWN_EVERY)

    async def _tell_text(self, writing: Writing, start: int, end: int) -> None:
        for at in range(start, end, PIECE):
            text = writing.text[at : min(at + PIECE, end)]
            await self._tell(writing, {"type": "text", "at": at, "text": text})

    async def _tell(self, writing: Writing, event: dict[str, Any]) -> None:
        await self._runtime.live.publish(topic_of(writing.answer.id), msgspec.json.encode(event))


def _tier(thread: Thread, path: list[Said], attached: list[StoredFile]) -> str:
    """Who answers: whom the conversation is pinned to, else whom the question is worth."""
    if thread.model != "auto":
        return thread.model
    before = sum(len(each.text) for each in path[:-1]) // 4
    asked = [each for each in attached if each.message_id == str(path[-1].id)]
    pictures = sum(each.type in PICTURES for each in asked)
    score = routing.complexity(path[-1].text, before, files=len(asked) - pictures, pictures=pictures)
    return "fast" if score < routing.THRESHOLD else "smart"


def topic_of(message_id: str) -> str:
    """Where what is written of an answer is told."""
    return f"chat.answer.{message_id}"
