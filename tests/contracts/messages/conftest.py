"""Fixtures of the clients of messages."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.contracts.messages.town import Town


@pytest.fixture
async def town(stack: Any, tmp_path: Path) -> AsyncIterator[Town]:
    async with stack.served() as address, AsyncExitStack() as open_:
        yield Town(stack, address, tmp_path, open_)
