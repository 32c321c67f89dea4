"""What models are told of a conversation, and what is remembered of it: a title, summaries, what each turn is about."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from tenfold.platform.errors import TenfoldError
from tenfold.platform.runtime import Runtime
from tenfold.systems.chat.actions import safety
from tenfold.systems.chat.actions.ledger import Ledger
from tenfold.systems.chat.errors import QuestionTooLong
from tenfold.systems.chat.rules import context
from tenfold.systems.chat.rules.context import Attached, Budget, Material, Related, Text, Turn
from tenfold.systems.chat.settings import ChatSettings
from tenfold.systems.chat.store import files
from tenfold.systems.chat.store import memory as store
from tenfold.systems.chat.store import threads as threads_store
from tenfold.systems.chat.store.memory import Summary
from tenfold.systems.chat.types import Said, StoredFile

log = structlog.get_logger(__name__)

SYSTEM = (
    "You are a helpful assistant. Answer briefly and correctly, in the language of the question; use Markdown. "
    "Say so when you don't know."
)
TITLE = "Name the topic of this conversation in two to five words, without quotation marks:\n\n"
SUMMARY = (
    "Summarise this conversation in at most 150 words, for somebody who goes on with it: facts, names, numbers, "
    "decisions, and what is still open. Write nothing else."
)
#: Messages of a path that are looked at, with the question. Odd, so that they begin with a question.
PATH = 201
#: Turns that are compared with a question, and seconds that may take.
CANDIDATES, PATIENCE = 16, 2.0
#: Tokens of a summary, and characters of a turn of which it is known what it is about.
SUMMARY_TOKENS, EMBEDDED = 300, 2000
#: Files that a prompt tells of; pictures that it shows to a model that sees, and tokens that each is taken for.
MOST_FILES, MOST_PICTURES, PICTURE_TOKENS = 8, 4, 1000
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
#: Stands for what isn't told again.
FLAGGED, SILENT = "(removed)", "(no answer)"


class Prompt(msgspec.Struct, frozen=True):
    """What a model is asked."""

    messages: list[dict[str, Any]]
    #: Estimated.
    tokens: int
    #: Tokens that its answer may have.
    answer: int


class Memory:
    """Makes prompts of conversations, and remembers what is said in them, for one process."""

    def __init__(self, runtime: Runtime, settings: ChatSettings, ledger: Ledger) -> None:
        self._runtime = runtime
        self._settings = settings
        self._ledger = ledger

    async def read_path(self, account_id: int, message_id: int) -> tuple[list[Said], list[StoredFile]]:
        """What was said up to a message, and the newest files that were sent along."""
        async with self._runtime.db.read(fresh=True) as tx:
            path = await store.list_path(tx, account_id, message_id, PATH)
            attached = await files.list_files(tx, account_id, [each.id for each in path if each.role == "user"])
        newest = {each.id: each for each in attached}  # one that was sent along twice is told once
        return path, list(newest.values())[-MOST_FILES:]

    async def prompt(
        self, account_id: int, thread_id: int, path: Sequence[Said], attached: Sequence[StoredFile], tier: str
    ) -> Prompt:
        """What a model is told: system prompt, files, a summary, the last messages, related ones, the question.

        Raises QuestionTooLong.
        """
        *earlier, question = path
        async with self._runtime.db.read(fresh=True) as tx:
            summary = await store.find_summary(tx, account_id, thread_id, [each.id for each in earlier])
        pictures = await self._pictures(tier, attached)
        read = [each for each in attached if each.id not in pictures]
        answer = self._answer_tokens(tier)
        budget = Budget(self._runtime.settings.tier(tier).context - PICTURE_TOKENS * len(pictures), answer)
        first = path[0].depth
        shown = max(0, (summary.covers if summary else 0) - first)
        # What the summary tells isn't shown, nor, where it doesn't keep up, what would be left out for its number.
        while len(earlier) - shown >= context.KEPT + 2 * context.STEP:
            shown += context.STEP
        window = earlier[shown:]
        texts = [await self._told(each) for each in (*window, question)]
        weights = await self._weigh(tier, [SYSTEM, summary.text if summary else "", *texts], budget.room)
        turns = [
            Turn(each.id, each.role, text, tokens)
            for each, text, tokens in zip(window, texts, weights[2:-1], strict=False)
        ]
        material = Material(
            system=Text(SYSTEM, weights[0]),
            question=Text(texts[-1], weights[-1]),
            summary=Text(summary.text, weights[1]) if summary else None,
            summarised=summary.covers if summary else 0,
            window=turns,
            before=first + shown,
            related=await self._related(account_id, thread_id, window, question, texts[-1]) if shown else (),
            files=[Attached(f"{each.name} ({each.how})", each.text, each.tokens) for each in read],
        )
        try:
            if read:  # what is long is cut, which takes its time
                messages = await asyncio.to_thread(context.assemble, material, budget)
            else:
                messages = context.assemble(material, budget)
        except context.TooLong as error:
            raise QuestionTooLong(tokens=error.tokens, most=error.most) from error
        tokens = sum(context.EACH + context.estimate(str(each["content"])) for each in messages)
        if pictures:
            messages[-1]["content"] = [{"type": "text", "text": messages[-1]["content"]}, *pictures.values()]
        return Prompt(messages, tokens + PICTURE_TOKENS * len(pictures), answer)

    async def remember(self, account_id: int, thread_id: int, message_id: int) -> None:
        """Behind an answer: give the conversation a title, shorten what is long past, note what the turn is about.

        As far as models are there for it; what is missing is made up for behind a later answer.
        """
        async with self._runtime.db.read(fresh=True) as tx:
            path = await store.list_path(tx, account_id, message_id, PATH + 1)
        if not path:
            return
        if path[-1].depth == 1:
            await self._name(account_id, thread_id, path[0])
        await self._embed(account_id, thread_id, path[-2:])
        await self._summarise(account_id, thread_id, path)

    async def _name(self, account_id: int, thread_id: int, question: Said) -> None:
        """Give a conversation that nobody has named a title, by its first question."""
        async with self._runtime.db.read(fresh=True) as tx:
            if await threads_store.is_named(tx, account_id, thread_id):
                return
        title = " ".join(question.text.split())[:60]
        asked = (await self._told(question))[:1000]
        body = {"messages": [{"role": "user", "content": TITLE + asked}], "max_tokens": 12, "temperature": 0}
        try:
            named = await self._runtime.inference.complete("fast", body, caller=f"account/{account_id}")
            self._ledger.add(account_id, "fast", named.usage, answers=0)
            said = " ".join(named.text.split()).strip("\"'*#. ")
            title = said[:80] if len(said) > 2 and not (await safety.judge(said)).flagged else title
        except TenfoldError:
            log.info("thread_not_named", thread_id=thread_id)
        async with self._runtime.db.transaction() as tx:
            await threads_store.name_thread(tx, account_id, thread_id, title)

    async def _embed(self, account_id: int, thread_id: int, turn: Sequence[Said]) -> None:
        known = [each for each in turn if each.text and not each.flagged]
        try:
            vectors = await self._runtime.inference.embed([(await self._told(each))[:EMBEDDED] for each in known])
        except TenfoldError:
            log.info("turn_not_embedded", thread_id=thread_id)
            return
        async with self._runtime.db.transaction() as tx:
            pairs = list(zip([each.id for each in known], vectors, strict=True))
            await store.insert_turns(tx, account_id, thread_id, pairs)

    async def _summarise(self, account_id: int, thread_id: int, path: Sequence[Said]) -> None:
        """Take what has left the window into the summary, when that is worth a model's time."""
        async with self._runtime.db.read(fresh=True) as tx:
            known = await store.find_summary(tx, account_id, thread_id, [each.id for each in path])
        first = path[0].depth
        turns = [Turn(each.id, each.role, each.text, context.estimate(each.text)) for each in path]
        tiers = [self._runtime.settings.tier(name).context for name in ("fast", "smart")]
        part = context.wants_summary(turns, max(0, (known.covers if known else 0) - first), min(tiers) // 2)
        if part.start == part.stop:
            return
        body = {
            "messages": await self._summary_prompt(known, path[part]),
            "max_tokens": SUMMARY_TOKENS,
            "temperature": 0,
        }
        try:
            made = await self._runtime.inference.complete("fast", body, caller=f"account/{account_id}")
        except TenfoldError:
            log.info("thread_not_summarised", thread_id=thread_id)
            return
        self._ledger.add(account_id, "fast", made.usage, answers=0)
        if text := made.text.strip():
            async with self._runtime.db.transaction() as tx:
                summary = Summary(text, first + part.stop)
                await store.insert_summary(tx, account_id, thread_id, path[part.stop - 1].id, summary)

    async def _summary_prompt(self, known: Summary | None, part: Sequence[Said]) -> list[dict[str, Any]]:
        before = f"What was said before, in short: {known.text}\n\n" if known else ""
        room = self._runtime.settings.tier("fast").context - SUMMARY_TOKENS - context.estimate(SUMMARY + before) - 64
        share = max(16, room // len(part) - context.EACH)
        told = [f"{each.role}: {context.cut(await self._told(each), share)}" for each in part]
        return [{"role": "system", "content": SUMMARY}, {"role": "user", "content": before + "\n\n".join(told)}]

    async def _told(self, said: Said) -> str:
        """A message as models are told it."""
        if said.flagged and said.role == "user":
            return FLAGGED
        text = said.text or SILENT
        return await safety.redact(text) if self._settings.redact_pii else text

    async def _related(
        self, account_id: int, thread_id: int, window: Sequence[Said], question: Said, text: str
    ) -> list[Related]:
        """Older turns of this path that may matter, by what they are about."""
        oldest = window[0] if window else question
        try:
            async with asyncio.timeout(PATIENCE):
                [vector] = await self._runtime.inference.embed([text[:EMBEDDED]])
        except (TenfoldError, TimeoutError):
            return []
        async with self._runtime.db.read(fresh=True) as tx:
            near = await store.list_near(tx, account_id, thread_id, oldest.id, vector, CANDIDATES)
        found = []
        for each in near:
            told = await safety.redact(each.text) if self._settings.redact_pii else each.text
            found.append(Related(Turn(each.id, each.role, told, context.estimate(told)), each.score))
        return found

    async def _weigh(self, tier: str, texts: Sequence[str], room: int) -> list[int]:
        """Tokens of texts; by the model's own tokenizer, where a cautious estimate says they might not fit."""
        rough = [context.estimate(text) for text in texts]
        if sum(rough) + context.EACH * len(texts) <= room:
            return rough
        counts = (self._runtime.inference.count(tier, text) if text else _zero() for text in texts)
        return list(await asyncio.gather(*counts))

    def _answer_tokens(self, tier: str) -> int:
        return min(self._settings.answer_tokens, self._runtime.settings.tier(tier).context // 2)

    async def _pictures(self, tier: str, attached: Sequence[StoredFile]) -> dict[str, dict[str, Any]]:
        """Pictures by their file's id, as parts of a message, for models that see. Others read their descriptions."""
        endpoints = self._runtime.settings.tier(tier).endpoints
        if not endpoints or not all(each.sees for each in endpoints):
            return {}
        parts: dict[str, dict[str, Any]] = {}
        for each in [each for each in attached if each.type in PICTURES][-MOST_PICTURES:]:
            try:
                data = base64.b64encode(await self._runtime.blobs.get(each.key)).decode()
            except TenfoldError:
                continue
            parts[each.id] = {"type": "image_url", "image_url": {"url": f"data:{each.type};base64,{data}"}}
        return parts


async def _zero() -> int:
    return 0
