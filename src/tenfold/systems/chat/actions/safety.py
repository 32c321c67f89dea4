"""What may be said, and to whom: texts are judged before and after, and lose what identifies somebody."""

import asyncio
from functools import lru_cache

import structlog

from tenfold.platform.db import Tx
from tenfold.systems.chat.rules import moderation, pii
from tenfold.systems.chat.rules.moderation import Moderation
from tenfold.systems.chat.store import flagged as store

log = structlog.get_logger(__name__)

REFUSAL = "I can't help with that request."
#: Characters that are looked at here; a longer text would keep this process from answering others.
SHORT = 2000
#: Characters of an answer between two looks at it.
LOOK = 240


async def judge(text: str) -> Moderation:
    """What moderation says of a text."""
    if len(text) <= SHORT:
        return moderation.moderate(text)
    return await asyncio.to_thread(moderation.moderate, text)


async def find_harm(text: str) -> Moderation | None:
    """What moderation says of a text that it flags; None of all others, which is known sooner."""
    if len(text) <= SHORT and not moderation.is_harmful(text):
        return None
    judged = await judge(text)
    return judged if judged.flagged else None


async def redact(text: str) -> str:
    """The text with placeholders for what identifies somebody. The last ones are remembered: prompts repeat them."""
    if len(text) <= SHORT:
        return _redacted(text)
    return await asyncio.to_thread(_redacted, text)


@lru_cache(maxsize=512)
def _redacted(text: str) -> str:
    return pii.redact(text[: pii.MOST]).text


async def note_flagged(tx: Tx, account_id: int, message_id: int, side: str, judged: Moderation, text: str) -> None:
    """Keep what was flagged, for people to look at."""
    scores = {name: round(score, 4) for name, score in judged.scores.items() if judged.categories[name]}
    log.warning("message_flagged", message_id=message_id, side=side, categories=list(scores))
    await store.insert_flagged(tx, account_id, message_id, side, scores, await redact(text))
