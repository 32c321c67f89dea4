"""Running code that a model or a person wrote."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tenfold.platform.errors import Invalid, Unauthorized
from tenfold.platform.identity import Principal
from tenfold.systems.chat.engine.sandbox import Ran, Sandbox


class RunCode(msgspec.Struct, forbid_unknown_fields=True):
    """Run a program."""

    code: Annotated[str, Meta(min_length=1, max_length=1_000_000)]


async def run(sandbox: Sandbox, wish: RunCode, principal: Principal) -> Ran:
    """Raises Unauthorized for a stranger, Invalid when the program is too long, Unavailable when too many wait."""
    if principal.account_id is None:
        raise Unauthorized
    if len(wish.code) > sandbox.most_code:
        raise Invalid(fields={"code": f"has at most {sandbox.most_code} characters"})
    return await sandbox.run(wish.code)
