"""Processes as identity sees them: each with pools, caches and an HTTP client of its own, on the same engines."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import httpx
import msgspec
import pytest
from litestar import Litestar
from tests.platform.identity.oauth_client import PASSWORD, App, registered

from tenfold.platform.bus import open_bus
from tenfold.platform.http import application
from tenfold.platform.identity import Identity
from tenfold.platform.identity.endpoints import CONTROLLERS
from tenfold.platform.runtime import open_runtime
from tenfold.platform.settings import Settings


@dataclass
class Process:
    """One process, and how to visit it."""

    identity: Identity
    app: Litestar
    address: str

    def visitor(self, ip: str = "203.0.113.7", *, browser: bool = True) -> httpx.AsyncClient:
        """A browser of its own that shows one of our pages, or another client."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=(ip, 50_000)),  # type: ignore[arg-type]
            base_url=self.address,
            headers={"Origin": self.address} if browser else {},
        )


type Start = Callable[..., AbstractAsyncContextManager[Process]]


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    """Starts one more process, with other settings if there are any."""

    @asynccontextmanager
    async def start(**others: object) -> AsyncIterator[Process]:
        async with open_runtime(msgspec.structs.replace(settings, **others)) as runtime:
            app = application(title="Identity", controllers=CONTROLLERS, provide={}, max_body=65_536, runtime=runtime)
            yield Process(runtime.identity, app, settings.address)

    yield start
    bus = await open_bus(settings)
    await bus.drop()
    await bus.close()


@pytest.fixture
async def process(start: Start) -> AsyncIterator[Process]:
    async with start() as process:
        yield process


@pytest.fixture
async def app(process: Process) -> AsyncIterator[App]:
    """A program of somebody else's, and Alice's browser."""
    async with process.visitor() as browser, process.visitor(browser=False) as client:
        await browser.post("/api/identity/signup", json={"name": "Alice", "password": PASSWORD})
        yield App(process, await registered(process), client, browser)
