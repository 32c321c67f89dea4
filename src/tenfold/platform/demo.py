"""The account that owns the demo content of all systems."""

import base64

from tenfold.platform.identity import Account, rules, store
from tenfold.platform.identity.actions import create_account
from tenfold.platform.runtime import Runtime

DEMO_NAME = "demo"


async def demo_account(runtime: Runtime) -> tuple[Account, str]:
    """The demo account and its password, which follows from the master secret: nobody else's demo has the same."""
    password = base64.b32encode(runtime.settings.key("demo.password"))[:12].decode().lower()
    async with runtime.db.read(fresh=True) as tx:
        account_id = await store.find_account_id(tx, rules.folded(DEMO_NAME))
        account = None if account_id is None else await store.find_account(tx, account_id)
    return account or await create_account(runtime.identity, DEMO_NAME, password, "plus", "Demo"), password
