"""Documents from the web: bounded in size, time and hops, and never from a network that only we can reach."""

import asyncio
import socket
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from tenfold.systems.answers.errors import FetchRefused

_HOPS = (301, 302, 303, 307, 308)
AGENT = "Tenfold-Answers/1.0"


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    media_type: str
    #: Where it was in the end.
    address: str


class _Guarded(AbstractResolver):
    """Resolves names to public addresses only. The connection is made to what was checked, so that a name which is
    another machine a moment later gains nothing."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [each for each in found if _is_public(each["host"])]
        if not public:
            raise FetchRefused(reason="it isn't on the public internet")
        return public

    async def close(self) -> None:
        await self._resolver.close()


async def fetch(url: str, *, most: int, seconds: float, hops: int, private: bool = False) -> Fetched:
    """Get what is at an address: at most so many bytes, seconds and hops. Raises FetchRefused."""
    resolver: AbstractResolver = ThreadedResolver() if private else _Guarded()
    # No cookies, no proxy, no credentials of ours: nothing there may think that we are somebody.
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers={"user-agent": AGENT}
            ) as session,
        ):
            for _ in range(hops + 1):
                _check(url, private=private)
                async with session.get(url, allow_redirects=False) as response:
                    if response.status in _HOPS and (to := response.headers.get("location")):
                        url = urljoin(url, to)
                        continue
                    if response.status != 200:
                        raise FetchRefused(reason=f"it answers {response.status}")
                    return Fetched(data=await _read(response, most), media_type=response.content_type, address=url)
    except TimeoutError:
        raise FetchRefused(reason=f"it took longer than {seconds:g} seconds") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # A resolver's refusal comes wrapped in the client's own error.
        if isinstance(error.__cause__, FetchRefused):
            raise error.__cause__ from None
        raise FetchRefused(reason="nobody answers there as one should") from error
    finally:
        await resolver.close()
    raise FetchRefused(reason=f"it leads on more than {hops} times")


def _check(url: str, *, private: bool) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise FetchRefused(reason="it isn't an address") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise FetchRefused(reason="it isn't a plain address of the web")
    # What is a number already is never resolved, so the resolver doesn't see it.
    if not private and _is_number(host) and not _is_public(host):
        raise FetchRefused(reason="it isn't on the public internet")


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(host: str) -> bool:
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if mapped is not None:
        address = mapped
    # 64:ff9b::/96 leads to IPv4 addresses through a translator, which may be one of ours.
    translated = address.version == 6 and address.packed[:12] == bytes.fromhex("0064ff9b0000000000000000")
    return address.is_global and not address.is_multicast and not translated


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        data += piece
        if len(data) > most:
            raise FetchRefused(reason=f"it has more than {most // 1024**2} MB")
    return bytes(data)
