"""HTTP doors of people, of oneself, and of reports. Decode, call one action, encode."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tenfold.contracts.messages.entities import ChangeMine, Mine, Person, Report
from tenfold.platform.identity import Principal
from tenfold.systems.messages.actions import people, reports
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.endpoints.numbers import number_of
from tenfold.systems.messages.errors import PersonNotFound

#: Bytes of a report with all that it may quote.
MOST_BODY = 512 * 1024


class PeopleEndpoints(Controller):
    path = "/api/v1"
    tags = ("People",)

    @get("/people")
    async def search(
        self,
        name: Annotated[str, QueryParameter(min_length=2, max_length=30)],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Sequence[Person]:
        """The first people whose names begin so."""
        return await people.search(messages, name, principal)

    @get("/people/{account_id:str}")
    async def read(
        self,
        account_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Person:
        return await people.find(messages, number_of(account_id, PersonNotFound), principal)

    @put("/people/{account_id:str}/block", status_code=204)
    async def block(
        self,
        account_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        """What they send from now on doesn't arrive. They aren't told."""
        await people.block(messages, number_of(account_id, PersonNotFound), principal)

    @delete("/people/{account_id:str}/block")
    async def unblock(
        self,
        account_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        await people.unblock(messages, number_of(account_id, PersonNotFound), principal)

    @get("/me")
    async def read_mine(self, messages: NamedDependency[Messages], principal: NamedDependency[Principal]) -> Mine:
        """Who asks, and what they have decided."""
        return await people.read_mine(messages, principal)

    @patch("/me")
    async def change_mine(
        self,
        data: JSONBody[ChangeMine],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Mine:
        return await people.change_mine(messages, data, principal)

    @post("/reports", status_code=204, request_max_body_size=MOST_BODY)
    async def report(
        self,
        data: JSONBody[Report],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        """Report somebody to whoever runs this server, who sees what is quoted and nothing else."""
        await reports.report(messages, data, principal)
