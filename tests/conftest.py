"""Fixtures of all tests: the real engines, and the whole product in this process with data of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from tenfold.app import Process, mounted, open_process, packages
from tenfold.platform.bus import Consumer, Event
from tenfold.platform.bus.settling import deliver, settle
from tenfold.platform.db import Database, open_database
from tenfold.platform.engines import Llama
from tenfold.platform.http import Dispatcher
from tenfold.platform.identity.actions import create_account, create_key
from tenfold.platform.settings import Settings
from tenfold.platform.testing import Engines, booted_engines, booted_llama, fresh_settings


@pytest.fixture(scope="session")
async def engines() -> AsyncIterator[Engines]:
    """Real PostgreSQL, Valkey and NATS, booted once."""
    async with booted_engines(fsync=False) as engines:
        yield engines


@pytest.fixture(scope="session")
async def llama() -> AsyncIterator[Llama]:
    """A real language model, the smallest there is. `Tier(endpoints=(llama.endpoint,))` makes a tier of it."""
    async with booted_llama() as llama:
        yield llama


@pytest.fixture
async def settings(engines: Engines) -> AsyncIterator[Settings]:
    """Settings whose database, Valkey prefix and streams belong to this test alone. Only the platform's tables."""
    async with fresh_settings(engines) as settings:
        yield settings


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    db = await open_database(settings)
    yield db
    await db.close()


@dataclass
class Stack:
    """The product in this process, as clients, consumers and the database see it."""

    settings: Settings
    process: Process
    dispatcher: Dispatcher
    _clients: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def db(self) -> Database:
        return self.process.runtime.db

    @property
    def consumers(self) -> Sequence[Consumer[Any]]:
        return [consumer for system, _ in self.process.systems.values() for consumer in system.consumers]

    def state(self, system: str) -> Any:
        return self.process.systems[system][1]

    async def client(
        self, *, key: str | None = None, host: str = "localhost:8080", ip: str = "203.0.113.7"
    ) -> httpx.AsyncClient:
        """A client of the whole product; with an API key it is signed in."""
        return await self._clients.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(self.dispatcher, client=(ip, 4711)),
                base_url=f"http://{host}",
                headers={"authorization": f"Bearer {key}"} if key else {},
            )
        )

    async def account(self, name: str, tier: Any = "free", *, host: str = "localhost:8080") -> httpx.AsyncClient:
        """A client that is signed in as a new account."""
        identity = self.process.runtime.identity
        await create_account(identity, name, "correct horse battery", tier)
        return await self.client(key=(await create_key(identity, name)).token, host=host)

    async def settle(self) -> None:
        """Send buffered clicks, empty the outbox, and run all consumers until nothing waits."""
        for system, state in self.process.systems.values():
            if system.name == "links":
                await state.recorder.flush()
        for system, state in self.process.systems.values():
            await settle(self.process.runtime.bus, self.db, system.consumers, state)

    async def deliver(self, event: Event, *, times: int = 1) -> None:
        """Deliver an event so many times, as after crashes at the worst moment, and wait for what follows."""
        await deliver(self.process.runtime.bus, event, times=times)
        await self.settle()

    async def value(self, sql: str, *args: object) -> Any:
        async with self.db.read(fresh=True) as tx:
            return await tx.value(sql, *args)

    def beside(self) -> AbstractAsyncContextManager["Stack"]:
        """A second process of the same product."""
        return open_stack(self.settings)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The real web server in front of this process. Its address."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = Server(
            self.dispatcher, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, log_enabled=False
        )
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
        writer.close()
        yield f"http://127.0.0.1:{port}"
        server.stop()
        await serving


@asynccontextmanager
async def open_stack(settings: Settings) -> AsyncIterator[Stack]:
    async with open_process(settings) as process:
        dispatcher = Dispatcher(lambda: None)  # type: ignore[arg-type, return-value]
        dispatcher.mount(mounted(process))
        stack = Stack(settings, process, dispatcher)
        async with stack._clients:
            yield stack


@asynccontextmanager
async def fresh_stack(engines: Engines, **overrides: Any) -> AsyncIterator[Stack]:
    async with (
        fresh_settings(engines, packages()) as fresh,
        open_stack(msgspec.structs.replace(fresh, **overrides)) as stack,
    ):
        yield stack


@pytest.fixture
async def stack(engines: Engines) -> AsyncIterator[Stack]:
    async with fresh_stack(engines) as stack:
        yield stack


@pytest.fixture(scope="session")
def stack_with(engines: Engines) -> Callable[..., AbstractAsyncContextManager[Stack]]:
    """Opens a stack with other settings than the usual ones."""
    return partial(fresh_stack, engines)


@pytest.fixture
async def alice(stack: Stack) -> httpx.AsyncClient:
    return await stack.account("alice")


@pytest.fixture
async def bob(stack: Stack) -> httpx.AsyncClient:
    return await stack.account("bob")


@pytest.fixture
async def stranger(stack: Stack) -> httpx.AsyncClient:
    return await stack.client()
