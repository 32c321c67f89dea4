"""Fixtures of the link shortener's tests: one product for all tests of a file, and people of its own for each test."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def stack(stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Any]:
    async with stack_with() as stack:
        yield stack


@pytest.fixture(scope="module")
async def carol(stack: Any) -> httpx.AsyncClient:
    """Somebody who may do a lot, for cases that leave nothing behind."""
    client: httpx.AsyncClient = await stack.account("carol", "enterprise")
    return client


@pytest.fixture
async def alice(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account(f"alice_{next(_numbers)}")
    return client


@pytest.fixture
async def bob(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account(f"bob_{next(_numbers)}")
    return client


@pytest.fixture
async def stranger(stack: Any) -> httpx.AsyncClient:
    """Somebody who isn't signed in, at an address that nobody has used."""
    client: httpx.AsyncClient = await stack.client(ip=f"198.51.100.{next(_numbers)}")
    return client
