"""The door of the sandbox. Decode, call one action, encode."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit, Limits
from tenfold.systems.chat.actions import runs
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.actions.runs import RunCode
from tenfold.systems.chat.engine.sandbox import Ran

#: Programs that are run for an account; a stranger is only told to sign in.
RUN = Limit(
    name="chat.run",
    rates={"anonymous": "10/minute", "free": "20/minute", "plus": "60/minute", "enterprise": "600/minute"},
)


class RunEndpoints(Controller):
    path = "/api/run"
    tags = ("Chat",)

    @post(status_code=200)
    async def run(
        self,
        data: JSONBody[RunCode],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
        limits: NamedDependency[Limits],
        ip: NamedDependency[str],
    ) -> Ran:
        """Run Python in the sandbox: no files, no network, nothing of the host. A value on the last line is shown."""
        await limits.take(RUN, principal, ip=ip)
        return await runs.run(chat.sandbox, data, principal)
