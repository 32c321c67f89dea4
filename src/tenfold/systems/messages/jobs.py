"""What messages does by the clock."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from tenfold.platform.db import Tx
from tenfold.platform.jobs import schedule
from tenfold.systems.messages.actions import devices, figures, media, pushing
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.store import conversations as store
from tenfold.systems.messages.store import devices as store_devices
from tenfold.systems.messages.store import reports
from tenfold.systems.messages.store.devices import Owned

log = structlog.get_logger(__name__)

#: Rows that one transaction removes, and devices that are looked at together.
BATCH, DEVICES = 5000, 500
DAY = 86_400_000


async def _remove(messages: Messages, some: Callable[[Tx, int], Awaitable[int]]) -> None:
    """Remove rows in small transactions, until there are none left."""
    while True:
        async with messages.runtime.db.transaction() as tx:
            removed = await some(tx, BATCH)
        if removed < BATCH:
            return


@schedule(every=timedelta(seconds=30), name="messages-end-waiting")
async def end_waiting(messages: Messages) -> None:
    """Remove what has waited in inboxes for as long as it may."""
    now = time.time_ns() // 1_000_000
    await _remove(messages, lambda tx, limit: store.delete_ended_inbox(tx, now, limit))
    await _remove(messages, lambda tx, limit: store.delete_ended_notes(tx, now, limit))


@schedule(every=timedelta(hours=1), name="messages-forget")
async def forget(messages: Messages) -> None:
    """Forget clients' ids of what was sent long ago, keys of groups, codes that have ended and reports long closed."""
    days = messages.settings.days
    before = time.time_ns() // 1_000_000 - days * DAY
    await _remove(messages, lambda tx, limit: store.delete_old_sent(tx, before, limit))
    await _remove(messages, lambda tx, limit: store.delete_old_begun(tx, days, limit))
    await _remove(messages, store.delete_ended_invites)
    await _remove(messages, lambda tx, limit: reports.delete_closed(tx, days, limit))


@schedule(every=timedelta(hours=1), name="messages-end-devices")
async def end_devices(messages: Messages) -> None:
    """End devices that were left behind: not seen for twice as long as messages wait, or with too many waiting."""
    settings, after = messages.settings, Owned(0, 0)
    while True:
        async with messages.runtime.db.read(fresh=True) as tx:
            some = await store_devices.list_left(tx, after, 2 * settings.days, settings.inbox, DEVICES)
        for each in some:
            if each.behind and await devices.end_device(messages, Owned(each.account_id, each.id)):
                log.info("device_left_behind", device_id=each.id)
        if len(some) < DEVICES:
            return
        after = Owned(some[-1].account_id, some[-1].id)


@schedule(every=timedelta(minutes=10), name="messages-remove-files")
async def remove_files(messages: Messages) -> None:
    """Remove files whose time is over or that were never finished, and objects that nothing refers to any more."""
    await media.remove_ended(messages)
    await media.remove_doomed(messages)


@schedule(every=timedelta(seconds=1), name="messages-push")
async def push(messages: Messages) -> None:
    """Wake devices that haven't taken what came for them."""
    await pushing.look(messages)
    await pushing.send_due(messages)


@schedule(every=timedelta(seconds=30), name="messages-count")
async def count(messages: Messages) -> None:
    """Count what was sent, for the home page."""
    await figures.count(messages)
