"""That something came for people is left behind for those who wake their devices: see `pushing`."""

from collections.abc import Collection

from tenfold.platform.db import Tx
from tenfold.systems.messages.settings import MessagesSettings
from tenfold.systems.messages.store import waking

#: Seconds that a connected device has to acknowledge what came, before it is woken.
WAIT = 4.0


async def wake(settings: MessagesSettings, tx: Tx, account_ids: Collection[int]) -> None:
    """Something came for these accounts: wake those of their devices that don't take it soon, once this has committed.

    One statement, which finds nothing where nobody has subscribed, and none where push is off. Call it last in a
    transaction: it may wait a moment for another one that does the same for the same account.
    """
    if settings.push_contact and account_ids:
        await waking.insert_waking(tx, sorted(account_ids), WAIT)
