"""Believable content: accounts to sign in to side by side, with a conversation of two, groups and an invitation.

There are no messages in them: what is sealed needs keys that only people's own devices have.
"""

from tenfold.contracts.messages.entities import Begin
from tenfold.platform.demo import DEMO_NAME, demo_account
from tenfold.platform.identity import Principal, store
from tenfold.platform.identity.actions import create_account
from tenfold.platform.identity.rules import folded
from tenfold.systems.messages.actions import conversations, groups
from tenfold.systems.messages.actions.context import Messages

#: Name and display name of those who are there to be written to.
OTHERS = (("demo_garden", "Garden"), ("demo_kitchen", "Kitchen"))


async def demo(messages: Messages) -> str:
    """Make accounts and conversations, unless they are there. Says how to look at them."""
    owner, password = await demo_account(messages.runtime)
    names = ", ".join(name for name, _ in OTHERS)
    how = f"sign in as {DEMO_NAME} and, in another browser, as one of {names}, all with the password {password}"
    me = Principal(account_id=owner.id, name=owner.name, tier=owner.tier, scopes=frozenset("*"))
    if (await conversations.list_own(messages, 0, me)).conversations:
        return f"is there already; {how}"
    others = [await _account(messages, name, shown, password) for name, shown in OTHERS]
    for each in others:
        await conversations.begin(messages, Begin(kind="direct", accounts=[each]), me)
    await conversations.begin(messages, Begin(kind="group", accounts=others, key="demo-everybody"), me)
    open_group = await conversations.begin(messages, Begin(kind="group", key="demo-to-join"), me)
    invite = await groups.make_invite(messages, int(open_group.id), me)
    joining = f"{messages.runtime.settings.address}/messages/app/join/{invite.code}"
    return f"{len(others)} conversations of two, 2 groups, and an invitation to one of them, {joining}; {how}"


async def _account(messages: Messages, name: str, shown: str, password: str) -> str:
    """The number of an account that is there or is made."""
    async with messages.runtime.db.read(fresh=True) as tx:
        account_id = await store.find_account_id(tx, folded(name))
    if account_id is None:
        account_id = (await create_account(messages.runtime.identity, name, password, "plus", shown)).id
    return str(account_id)
