"""Documents from the web: bounded in size, time and hops, and never from a network that only we can reach."""

import asyncio
import socket
from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.connector import AddrInfoType

from tenfold.systems.answers.errors import FetchRefused

_HOPS = (301, 302, 303, 307, 308)
AGENT = "Tenfold-Answers/1.0"


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    media_type: str
    #: Where it was in the end.
    address: str


class _NotPublic(OSError):
    """An address of a network that only we can reach."""


def _open(info: AddrInfoType) -> socket.socket:
    """A socket to a public address. Whatever an address was called, in digits of any kind or by a name that was another
    machine a moment ago, this is where it leads in the end. Raises _NotPublic."""
    family, kind, protocol, _, address = info
    if not _is_public(str(address[0])):
        raise _NotPublic("not public")
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)
    return opened


async def fetch(url: str, *, most: int, seconds: float, hops: int, private: bool = False) -> Fetched:
    """Get what is at an address: at most so many bytes, seconds and hops. Raises FetchRefused."""
    # No cookies, no proxy, no credentials of ours: nothing there may think that we are somebody.
    opening = None if private else _open
    connector = aiohttp.TCPConnector(use_dns_cache=False, force_close=True, socket_factory=opening)
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers={"user-agent": AGENT}
            ) as session,
        ):
            for _ in range(hops + 1):
                _check(url)
                async with session.get(url, allow_redirects=False) as response:
                    if response.status in _HOPS and (to := response.headers.get("location")):
                        url = urljoin(url, to)
                        continue
                    if response.status != 200:
                        raise FetchRefused(reason=f"it answers {response.status}")
                    return Fetched(data=await _read(response, most), media_type=response.content_type, address=url)
    except TimeoutError:
        raise FetchRefused(reason=f"it took longer than {seconds:g} seconds") from None
    except aiohttp.InvalidURL as error:
        raise FetchRefused(reason="it isn't a plain address of the web") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _NotPublic):
            raise FetchRefused(reason="it isn't on the public internet") from None
        raise FetchRefused(reason="nobody answers there as one should") from error
    raise FetchRefused(reason=f"it leads on more than {hops} times")


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise FetchRefused(reason="it isn't an address") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise FetchRefused(reason="it isn't a plain address of the web")


def _is_public(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:  # a number that only the system's own reading makes an address of
        return False
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
