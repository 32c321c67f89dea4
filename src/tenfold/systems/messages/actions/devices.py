"""Devices of an account: added, given prekeys, ended; and prekeys claimed by those who want to write to them."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from tenfold.contracts.messages import frames
from tenfold.contracts.messages.entities import AddDevice, AddKeys, ClaimedKey, ClaimedKeys, ClaimKeys, OwnDevice
from tenfold.platform.db import Tx
from tenfold.platform.errors import TooManyRequests
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit, TooMuchAtOnce
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.telling import milliseconds, tell_conversation, tell_self
from tenfold.systems.messages.errors import DeviceNotFound, DevicesFull
from tenfold.systems.messages.rules.keys import LOW, MOST_KEYS, verify_device, verify_keys
from tenfold.systems.messages.store import conversations as places
from tenfold.systems.messages.store import devices as store
from tenfold.systems.messages.store import people
from tenfold.systems.messages.store.devices import DeviceRow, KeyRow, Owned

#: Devices that an account adds: each is told to everybody whom they write with.
ADD = Limit(name="messages.devices", rates={"anonymous": "10/hour", "free": "60/hour", "enterprise": "1000/hour"})
#: Times that an account adds prekeys; each may be many.
KEYS = Limit(name="messages.keys", rates={"anonymous": "120/hour"})
#: Prekeys that an account claims, of all devices together.
CLAIM = Limit(name="messages.claim", rates={"anonymous": "10000/hour burst 3000"})
#: One-time keys of an account that one other is given, and that all others are given together. Beyond that they are
#: given the fallback key: nobody is kept from writing, and nobody can use up somebody's one-time keys.
CLAIMED_BY_ONE = Limit(name="messages.claimed.one", rates={"anonymous": "40/hour"})
CLAIMED_BY_ALL = Limit(name="messages.claimed.all", rates={"anonymous": "2000/hour"})


async def add(messages: Messages, data: AddDevice, principal: Principal) -> OwnDevice:
    """A new device, in all conversations of the account. With the keys of one that is there: that one.

    Raises Unauthorized, TooManyRequests, BadSignature, DevicesFull.
    """
    account_id = principal.require("messages")
    await messages.runtime.limits.take(ADD, principal)
    await asyncio.to_thread(verify_device, str(account_id), data)
    device_id = messages.runtime.ids.next()
    async with messages.runtime.db.transaction() as tx:
        await people.lock_people(tx, [account_id])
        devices = await store.list_devices(tx, account_id)
        keys = data.identity_key, data.signing_key
        device = next((each for each in devices if (each.identity_key, each.signing_key) == keys), None)
        if device is None:
            if len(devices) >= messages.settings.devices:
                raise DevicesFull(most=messages.settings.devices)
            device = await store.insert_device(tx, account_id, device_id, data)
            await store.add_keys(tx, account_id, device_id, data.one_time_keys, MOST_KEYS)
            conversation_ids = await places.list_memberships(tx, account_id)
            await places.lock_conversations(tx, conversation_ids)
            await places.add_member_device(tx, conversation_ids, account_id, device_id)
            await _tell_change(messages, tx, account_id, conversation_ids)
    [shown] = await _shown(messages, [device])
    return shown


async def list_own(messages: Messages, principal: Principal) -> list[OwnDevice]:
    """The account's devices, the oldest first."""
    account_id = principal.require("messages")
    async with messages.runtime.db.read(fresh=True) as tx:
        devices = await store.list_devices(tx, account_id)
    return await _shown(messages, devices)


async def add_keys(messages: Messages, device_id: int, data: AddKeys, principal: Principal) -> OwnDevice:
    """More prekeys of one's own device. Those that there is no room for aren't kept.

    Raises DeviceNotFound, BadSignature, TooManyRequests.
    """
    account_id = principal.require("messages")
    await messages.runtime.limits.take(KEYS, principal)
    async with messages.runtime.db.read(fresh=True) as tx:
        device = await store.find_device(tx, account_id, device_id)
    if device is None:
        raise DeviceNotFound
    keys = device.identity_key, device.signing_key
    if data.fallback_key is not None:
        verify_keys(*keys, [data.fallback_key], "fallback_key")
    await asyncio.to_thread(verify_keys, *keys, data.one_time_keys, "one_time_keys")
    async with messages.runtime.db.transaction() as tx:
        await people.lock_people(tx, [account_id])  # so that two requests together keep no more than may be
        if await store.find_device(tx, account_id, device_id) is None:
            raise DeviceNotFound
        await store.add_keys(tx, account_id, device_id, data.one_time_keys, MOST_KEYS)
        if data.fallback_key is not None:
            await store.update_fallback(tx, account_id, device_id, data.fallback_key)
    [shown] = await _shown(messages, [device])
    return shown


async def end(messages: Messages, device_id: int, principal: Principal) -> None:
    """End one's own device. Raises DeviceNotFound."""
    if not await end_device(messages, Owned(principal.require("messages"), device_id)):
        raise DeviceNotFound


async def end_device(messages: Messages, device: Owned) -> bool:
    """A device, its keys and all that waits for it are gone, and its connection ends. False when there is none."""
    async with messages.runtime.db.transaction() as tx:
        await people.lock_people(tx, [device.account_id])
        if await store.find_device(tx, device.account_id, device.id) is None:
            return False
        conversation_ids = await places.list_memberships(tx, device.account_id)
        # Nothing is put into its inbox any more once they are held, so that nothing is left in it.
        await places.lock_conversations(tx, conversation_ids)
        await places.delete_member_device(tx, conversation_ids, device.account_id, device.id)
        await store.delete_device(tx, device.account_id, device.id)
        await _tell_change(messages, tx, device.account_id, conversation_ids)
    await messages.routes.end(device.account_id, device.id, frames.NO_DEVICE)
    return True


async def _tell_change(messages: Messages, tx: Tx, account_id: int, conversation_ids: Sequence[int]) -> None:
    """The devices in these conversations, which are locked, aren't those of before."""
    await places.raise_revisions(tx, conversation_ids)
    members: dict[int, list[int]] = {}
    for row in await places.list_members(tx, conversation_ids):
        members.setdefault(row.conversation_id, []).append(row.account_id)
    for conversation_id, account_ids in members.items():
        tell_conversation(messages, tx, conversation_id, account_ids)
    tell_self(messages, tx, account_id)


async def claim(messages: Messages, data: ClaimKeys, principal: Principal) -> ClaimedKeys:
    """One prekey of each device, as far as they are one's own or of people with whom one shares a conversation.

    Raises Unauthorized, TooManyRequests.
    """
    account_id = principal.require("messages")
    wanted = {number for text in data.devices if (number := read_id(text))}
    await messages.runtime.limits.take(CLAIM, principal, cost=len(data.devices))
    async with messages.runtime.db.read(fresh=True) as tx:
        shared = await store.list_shared(tx, await places.list_memberships(tx, account_id), list(wanted))
        own = [Owned(account_id, each.id) for each in await store.list_devices(tx, account_id) if each.id in wanted]
    devices = sorted({*shared, *own})
    spared = await _spared(messages, account_id, devices)
    async with messages.runtime.db.transaction() as tx:
        taken = await store.take_keys(tx, [each for each in devices if each.account_id not in spared])
        had = {row.device_id for row in taken}
        fallbacks = await store.list_fallbacks(tx, [each for each in devices if each.id not in had])
        left = await store.count_keys(tx, [Owned(row.account_id, row.device_id) for row in taken])
    low = {row.account_id for row in taken if left.get(row.device_id, 0) in (0, LOW - 1)}
    await messages.routes.tell(low, frames.Changed(what="self"))
    given = [*(_claimed(row, fallback=False) for row in taken), *(_claimed(row, fallback=True) for row in fallbacks)]
    found = {each.device for each in given}
    return ClaimedKeys(keys=given, missing=[each for each in dict.fromkeys(data.devices) if each not in found])


async def _spared(messages: Messages, account_id: int, devices: Sequence[Owned]) -> set[int]:
    """The accounts of whose one-time keys so many have been given out lately that others must do."""
    limits, spared = messages.runtime.limits, set()
    for owner_id, count in Counter(each.account_id for each in devices).items():
        try:
            await limits.take(CLAIMED_BY_ONE, f"claim/{account_id}/{owner_id}", cost=count)
            await limits.take(CLAIMED_BY_ALL, f"claim/{owner_id}", cost=count)
        except (TooManyRequests, TooMuchAtOnce):
            spared.add(owner_id)
    return spared


def _claimed(row: KeyRow, *, fallback: bool) -> ClaimedKey:
    return ClaimedKey(device=str(row.device_id), id=row.id, key=row.key, signature=row.signature, fallback=fallback)


async def _shown(messages: Messages, devices: Sequence[DeviceRow]) -> list[OwnDevice]:
    """Devices of one account as their owner sees them."""
    async with messages.runtime.db.read(fresh=True) as tx:
        counts = await store.count_keys(tx, [Owned(each.account_id, each.id) for each in devices])
    connected = await _connected(messages, devices)
    return [
        OwnDevice(
            id=str(each.id),
            name=each.name,
            identity_key=each.identity_key,
            signing_key=each.signing_key,
            added_at=milliseconds(each.added_at),
            seen_at=None if each.seen_at is None else milliseconds(each.seen_at),
            online=each.id in connected,
            one_time_keys=counts.get(each.id, 0),
            pushed=each.pushed,
        )
        for each in devices
    ]


async def _connected(messages: Messages, devices: Sequence[DeviceRow]) -> set[int]:
    """Who is connected is known by account: of its devices, the one that came last is taken to be."""
    seen = [(each.seen_at, each.id) for each in devices if each.seen_at is not None]
    if not seen or not await messages.watching.online([devices[0].account_id]):
        return set()
    return {max(seen)[1]}
