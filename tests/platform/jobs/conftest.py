"""Fixtures of jobs."""

from collections.abc import AsyncIterator

import pytest

from tenfold.platform.bus import open_bus
from tenfold.platform.db import Database
from tenfold.platform.ids import Ids
from tenfold.platform.jobs import Jobs, worker
from tenfold.platform.jobs.testing import Office
from tenfold.platform.live import open_live
from tenfold.platform.settings import Settings


@pytest.fixture
async def office(settings: Settings, db: Database) -> AsyncIterator[Office]:
    bus = await open_bus(settings)
    live = await open_live(bus)
    yield Office(Jobs(db, bus, live, Ids(1), settings))
    await live.close()
    await bus.close()


@pytest.fixture
def quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases end sooner, for tests that wait for it."""
    monkeypatch.setattr(worker, "LEASE", 1.0)
    monkeypatch.setattr(worker, "BEAT", 0.1)
