"""Fixtures of the link shortener's tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest


@dataclass
class Shared:
    """A stack that many cases share, for those that leave nothing behind."""

    stack: Any
    alice: httpx.AsyncClient
    stranger: httpx.AsyncClient


@pytest.fixture(scope="module")
async def shared(stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Shared]:
    async with stack_with() as stack:
        yield Shared(stack, await stack.account("alice", "enterprise"), await stack.client())
