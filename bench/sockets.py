"""A WebSocket client that costs next to nothing, so that a generator on one core can press a server on another.

RFC 6455 as far as text frames go. Frames are masked with zeros, which the standard permits a client that fears no
proxies, and which saves a pass over the bytes.
"""

import asyncio
import base64
import os
from collections.abc import Callable
from typing import Self

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Socket(asyncio.Protocol):
    """A connection. `heard` is called with each text frame as bytes, when it comes."""

    def __init__(self, head: bytes, heard: Callable[[Self, bytes], None]) -> None:
        self.heard = heard
        self.closed = asyncio.get_running_loop().create_future()
        self.opened = asyncio.get_running_loop().create_future()
        self._head = head
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int, path: str, token: str, heard: Callable[[Self, bytes], None]) -> Self:
        """Raises ConnectionError where the server doesn't switch protocols."""
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(head, heard), "127.0.0.1", port)
        await made.opened
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._head)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the server hung up"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.opened.done():
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            status = bytes(self._data[: self._data.find(b"\r\n")])
            del self._data[: end + 4]
            if b" 101 " not in status + b" ":
                self.opened.set_exception(ConnectionError(status.decode()))
                return
            self.opened.set_result(None)
        self._read()

    def _read(self) -> None:
        data, at, end = self._data, 0, len(self._data)
        while end - at >= 2:
            kind, size, body = data[at] & 15, data[at + 1] & 127, at + 2
            if size == 126:
                if end - at < 4:
                    break
                size, body = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                if end - at < 10:
                    break
                size, body = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if end - body < size:
                break
            at = body + size
            if kind == _TEXT:
                self.heard(self, bytes(data[body:at]))
            elif kind == _PING:
                self._frame(_PONG, bytes(data[body:at]))
        del data[:at]

    def send(self, text: bytes) -> None:
        self._frame(_TEXT, text)

    def _frame(self, kind: int, body: bytes) -> None:
        size = len(body)
        if size < 126:
            head = bytes((128 | kind, 128 | size))
        elif size < 65_536:
            head = bytes((128 | kind, 254)) + size.to_bytes(2, "big")
        else:
            head = bytes((128 | kind, 255)) + size.to_bytes(8, "big")
        if self._transport is not None:
            self._transport.write(head + b"\0\0\0\0" + body)

    def drop(self) -> None:
        """Hang up without a word, as a lost network does."""
        if self._transport is not None:
            self._transport.abort()
