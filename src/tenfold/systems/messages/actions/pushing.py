"""Push messages for devices that aren't there: they say that something waits, and nothing else.

What comes for an account leaves one row, whatever else comes in the next seconds. Then a schedule looks which of its
devices haven't taken it, and each of them gets one message, sent again until its push service has it.
"""

import asyncio
import time

import aiohttp
import msgspec
import structlog

from tenfold.contracts.messages.entities import PushKey, Subscribe
from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.people import CHANGE
from tenfold.systems.messages.actions.waking import WAIT
from tenfold.systems.messages.engine import push
from tenfold.systems.messages.engine.push import Subscription, Vapid
from tenfold.systems.messages.errors import DeviceNotFound, PushOff, PushServiceUnknown
from tenfold.systems.messages.rules.push import LONGEST, RETRY, host_of, outcome
from tenfold.systems.messages.store import devices, waking
from tenfold.systems.messages.store.waking import Due

log = structlog.get_logger(__name__)

#: What is said. Everything else is behind sealed messages.
MESSAGE = b'{"t":"waiting"}'
#: Accounts and devices that are dealt with at once, messages on their way at once, and seconds for one.
BATCH, AT_ONCE, TIMEOUT = 500, 32, 10.0
#: Seconds that push services keep a message; they allow 28 days.
MOST_TTL = 28 * 86_400


def read_key(messages: Messages) -> PushKey:
    """The key that browsers subscribe with, which follows from the master secret."""
    vapid = _vapid(messages)
    return PushKey(key=vapid.public if vapid else None)


async def subscribe(messages: Messages, device_id: int, data: Subscribe, principal: Principal) -> None:
    """Wake one's own device by a push service. Raises DeviceNotFound, PushOff, PushServiceUnknown, Invalid."""
    account_id = principal.require("messages")
    await messages.runtime.limits.take(CHANGE, principal)
    if _vapid(messages) is None:
        raise PushOff
    host, known = host_of(data.endpoint, messages.settings.push_hosts)
    if not known:
        raise PushServiceUnknown(host=host[:100], fields={"endpoint": "isn't a push service's that is known here"})
    keys = {"p256dh": data.keys.p256dh, "auth": data.keys.auth}
    try:
        await asyncio.to_thread(push.read_subscription, data.endpoint, **keys)
    except ValueError:
        raise Invalid(fields={"keys": "are a point of P-256 and a secret of 16 bytes, in base64url"}) from None
    async with messages.runtime.db.transaction() as tx:
        if not await devices.set_push(tx, account_id, device_id, {"endpoint": data.endpoint, **keys}):
            raise DeviceNotFound


async def unsubscribe(messages: Messages, device_id: int, principal: Principal) -> None:
    """Don't wake it any more. Raises DeviceNotFound."""
    account_id = principal.require("messages")
    async with messages.runtime.db.transaction() as tx:
        if not await devices.set_push(tx, account_id, device_id, None):
            raise DeviceNotFound


async def look(messages: Messages) -> int:
    """Find the devices that haven't taken what came for them. How many accounts were looked at."""
    looked = 0
    while True:
        before = int((time.time() - WAIT) * 1000) + 1
        async with messages.runtime.db.transaction() as tx:
            due = await waking.take_due(tx, BATCH)
            await waking.add_pushes(tx, due, before)
            # What came last hasn't waited long enough, and nothing else asks for a look at it.
            await waking.insert_waking(tx, await waking.list_fresh(tx, due, before), WAIT)
        looked += len(due)
        if len(due) < BATCH:
            return looked


async def send_due(messages: Messages) -> int:
    """Hand the messages that are due to the push services. How many."""
    vapid, sent = _vapid(messages), 0
    if vapid is None:
        return 0
    while True:
        async with messages.runtime.db.transaction() as tx:
            due = await waking.lease_pushes(tx, BATCH, RETRY)
        if due:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            connector = aiohttp.TCPConnector(limit=AT_ONCE, force_close=True)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
                room = asyncio.Semaphore(AT_ONCE)
                await asyncio.gather(*(_send(messages, vapid, session, room, each) for each in due))
        sent += len(due)
        if len(due) < BATCH:
            return sent


async def _send(
    messages: Messages, vapid: Vapid, session: aiohttp.ClientSession, room: asyncio.Semaphore, due: Due
) -> None:
    subscription = _read(due.subscription)
    answer = None
    # What may be sent to may have been narrowed since.
    if subscription is not None and host_of(subscription.endpoint, messages.settings.push_hosts)[1]:
        ttl = min(messages.settings.days * 86_400, MOST_TTL)
        async with room:
            answer = await push.send(session, vapid, subscription, MESSAGE, ttl=ttl)
    what = "done" if answer is None else outcome(answer.status, due.attempt)
    async with messages.runtime.db.transaction() as tx:
        if what == "again":
            if answer is not None and answer.retry_after is not None:
                await waking.postpone_push(tx, due, min(answer.retry_after, LONGEST))
            return
        if what == "gone":
            await waking.forget_subscription(tx, due)
        elif answer is not None and not 200 <= answer.status < 300:
            log.warning("push_refused", status=answer.status, attempt=due.attempt)
        await waking.end_push(tx, due)


def _vapid(messages: Messages) -> Vapid | None:
    """None where push is off."""
    contact = messages.settings.push_contact
    return Vapid(messages.runtime.settings.key("messages.push"), contact) if contact else None


def _read(subscription: object) -> Subscription | None:
    """As `subscribe` has kept it."""
    try:
        return push.read_subscription(**msgspec.convert(subscription, dict[str, str]))
    except (msgspec.ValidationError, TypeError, ValueError):
        return None
