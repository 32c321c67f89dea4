"""Argon2 in a few threads of its own, so that the event loop never waits for a password and memory stays bounded."""

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tenfold.platform.identity.errors import PasswordsBusy
from tenfold.platform.identity.rules import password_bytes

#: Memory in KiB, passes and lanes of argon2id: the OWASP Password Storage Cheat Sheet's first choice for one lane. One
#: lane, because concurrent sign-ins fill the cores anyway.
HASHER = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)
#: A hash of no password, with the same parameters.
NOBODY = "$argon2id$v=19$m={},t={},p={}${}${}".format(
    HASHER.memory_cost,
    HASHER.time_cost,
    HASHER.parallelism,
    b64encode(os.urandom(HASHER.salt_len)).rstrip(b"=").decode(),
    b64encode(os.urandom(HASHER.hash_len)).rstrip(b"=").decode(),
)


class Passwords:
    """Hashes and verifies passwords, at most `threads` at once (20 MB each) and `waiting` more in the queue."""

    def __init__(self, *, threads: int | None = None, waiting: int = 100) -> None:
        # Half of the cores: the other half keeps answering everybody else.
        threads = threads or max(1, (os.cpu_count() or 2) // 2)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._free = threads + waiting

    async def hash(self, password: str) -> str:
        """A hash to keep. Raises PasswordsBusy."""
        return await self._run(lambda: HASHER.hash(password_bytes(password)))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether the password is the hashed one. Takes as long for an account that doesn't exist (None) as for others.

        Raises PasswordsBusy.
        """

        def check() -> bool:
            try:
                return HASHER.verify(hashed or NOBODY, password_bytes(password))
            except (VerificationError, InvalidHashError):
                return False

        return await self._run(check)

    def outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return HASHER.check_needs_rehash(hashed)

    async def _run[T](self, work: Callable[[], T]) -> T:
        if self._free <= 0:
            raise PasswordsBusy
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._free += 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
