"""What chat does by the clock."""

from datetime import timedelta

import structlog

from tenfold.platform.jobs import schedule
from tenfold.systems.chat.actions import files
from tenfold.systems.chat.actions.answering import INTERRUPTED, SILENCE
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.store import threads as store

log = structlog.get_logger(__name__)


@schedule(every=timedelta(hours=1), name="chat-remove-abandoned-files")
async def remove_abandoned_files(chat: Chat) -> None:
    await files.remove_abandoned(chat)


@schedule(every=timedelta(seconds=5), name="chat-end-orphans")
async def end_orphans(chat: Chat) -> None:
    """End the answers whose process has died, so that no conversation waits for ever."""
    async with chat.runtime.db.transaction() as tx:
        ended = await store.fail_silent(tx, SILENCE, INTERRUPTED)
    if ended:
        log.warning("answers_orphaned", count=ended)


@schedule(every=timedelta(hours=1), name="chat-forget-idempotency-keys")
async def forget_idempotency_keys(chat: Chat) -> None:
    """Remove the keys of questions that were asked more than a day ago."""
    async with chat.runtime.db.transaction() as tx:
        await store.delete_old_asked(tx)
