"""Fixtures of all tests."""

from collections.abc import AsyncIterator

import pytest

from tenfold.platform.db import Database, open_database
from tenfold.platform.settings import Settings
from tenfold.platform.testing import Engines, booted_engines, fresh_settings


@pytest.fixture(scope="session")
async def engines() -> AsyncIterator[Engines]:
    """Real PostgreSQL, Valkey and NATS, booted once."""
    async with booted_engines() as engines:
        yield engines


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
