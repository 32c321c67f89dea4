"""Hot state: one Valkey client a process, standalone or cluster by the URL. Outages become Unavailable, and cheap."""

import re
import time
from collections.abc import Sequence
from itertools import batched
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import glide
import structlog
from glide import (
    AdvancedGlideClientConfiguration,
    AdvancedGlideClusterClientConfiguration,
    BackoffStrategy,
    Batch,
    ClusterBatch,
    ConditionalChange,
    ExpiryGetEx,
    ExpirySet,
    ExpiryType,
    ExpiryTypeGetEx,
    GlideClient,
    GlideClientConfiguration,
    GlideClusterClient,
    GlideClusterClientConfiguration,
    GlideError,
    Logger,
    LogLevel,
    NodeAddress,
    RequestError,
    ServerCredentials,
    TEncodable,
    TResult,
)

from tenfold.platform.errors import Unavailable
from tenfold.platform.settings import BadSettings, Settings

__all__ = ["Hot", "Script", "open_hot"]

log = structlog.get_logger(__name__)

REQUEST_MS = 250
CONNECT_MS = 500
#: Outages in a row after which calls are turned away at once, and for how many seconds until one of them tries again.
TRIES, PAUSE = 3, 1.0
#: Keys in one command: bounds what a call holds up for everybody else on the same connection.
CHUNK = 1000

_KIND = re.compile(r"(valkey|redis)(?P<tls>s)?(?P<cluster>\+cluster)?")
#: How replies begin that say our command was wrong, not that the server is unwell.
_OUR_FAULT = ("An error was signalled by the server: - ResponseError", "WRONGTYPE", "CROSSSLOT", "EXECABORT")


class Guard:
    """Around every command: outages become Unavailable, and while they last only one call a second waits for a timeout.

    Without it each request would pay the client's whole timeout for as long as the server is away.
    """

    __slots__ = ("_outages", "_retry_at")

    def __init__(self) -> None:
        self._outages = 0
        self._retry_at = 0.0  # 0: closed, as circuit breakers are when all is well

    def __enter__(self) -> None:
        if self._retry_at:
            now = time.monotonic()
            if now < self._retry_at:
                raise Unavailable(part="Valkey")
            self._retry_at = now + PAUSE  # this call tries; the others wait for what it finds

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is None or (type(error) is RequestError and str(error).startswith(_OUR_FAULT)):
            if self._retry_at:
                log.info("valkey_back")
            self._outages, self._retry_at = 0, 0.0
        elif isinstance(error, GlideError):
            self._outages += 1
            if self._outages >= TRIES:
                if not self._retry_at:
                    log.warning("valkey_unreachable", reason=str(error).strip())
                self._retry_at = time.monotonic() + PAUSE
            raise Unavailable(part="Valkey") from error


class Script(glide.Script):
    """A Lua script, for `Hot.run`. Sent once, then called by its digest."""

    def __init__(self, code: str) -> None:
        super().__init__(code)  # type: ignore[no-untyped-call]


class Hot:
    """What the platform needs of Valkey. A system's hot room calls `client` itself, inside `with hot.guard:`."""

    def __init__(self, client: GlideClient | GlideClusterClient, prefix: str) -> None:
        self.client = client
        self.guard = Guard()
        #: Whether keys of one script must share a slot.
        self.clustered = isinstance(client, GlideClusterClient)
        self._prefix = prefix

    def key(self, *parts: str) -> str:
        """A key in this namespace. Put in braces what must share a slot of a cluster: `key("links", "{%s}" % code)`."""
        return ":".join((self._prefix, *parts))

    async def get(self, key: str) -> bytes | None:
        """Raises Unavailable, as everything here does."""
        with self.guard:
            return await self.client.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values in the order of the keys, whatever slots they are in."""
        values: list[bytes | None] = []
        for some in batched(keys, CHUNK):
            with self.guard:
                values += await self.client.mget(list[TEncodable](some))
        return values

    async def set_many(self, rows: Sequence[tuple[str, bytes, int]], *, only_new: bool = False) -> None:
        """Set keys to values for so many milliseconds each; with `only_new`, those that aren't there already."""
        condition = ConditionalChange.ONLY_IF_DOES_NOT_EXIST if only_new else None
        for some in batched(rows, CHUNK):
            batch = ClusterBatch(is_atomic=False) if self.clustered else Batch(is_atomic=False)
            for key, value, milliseconds in some:
                batch.set(key, value, condition, ExpirySet(ExpiryType.MILLSEC, milliseconds))
            with self.guard:
                await self.client.exec(batch, raise_on_error=True)

    async def get_and_prolong(self, key: str, milliseconds: int) -> bytes | None:
        """A value, and that many milliseconds more for it from now on."""
        with self.guard:
            return await self.client.getex(key, ExpiryGetEx(ExpiryTypeGetEx.MILLSEC, milliseconds))

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove keys, whatever slots they are in. How many there were."""
        gone = 0
        for some in batched(keys, CHUNK):
            with self.guard:
                gone += await self.client.delete(list[TEncodable](some))
        return gone

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[str | bytes]) -> TResult:
        """Run a Lua script, atomically; all its keys share a slot."""
        with self.guard:
            return await self.client.invoke_script(script, list[TEncodable](keys), list[TEncodable](args))

    async def ping(self) -> None:
        """Is the server there? For readiness."""
        with self.guard:
            await self.client.ping()

    async def close(self) -> None:
        await self.client.close()


async def open_hot(settings: Settings, prefix: str | None = None) -> Hot:
    """A client for `settings.valkey_url`. It connects when first used, so that a server that is away keeps nobody down.

    URLs: valkey://[user:password@]host[:6379][,host...][/database], valkeys:// for TLS, valkey+cluster:// and
    valkeys+cluster:// for a cluster (some of its nodes are enough), unix://[user:password@]/path/of/the/socket.
    redis:// means valkey://. Keys begin with `prefix`, else with the namespace of the settings. Raises BadSettings for
    any other URL.
    """
    if settings.valkey_url is None:
        raise Unavailable(part="Valkey (no embedded engine runs on this data; `tenfold up` starts one)")
    Logger.init(LogLevel.OFF)  # it would write lines of its own to stderr; what matters is raised
    hot = Hot(await _connect(settings.valkey_url.reveal()), prefix or settings.namespace)
    try:
        await hot.ping()
    except Unavailable as error:
        log.warning("valkey_unreachable", reason=str(error.__cause__).strip())
    return hot


async def _connect(url: str) -> GlideClient | GlideClusterClient:
    try:
        parts = urlsplit(url)
        user_info, _, hosts = parts.netloc.rpartition("@")
        kind = _KIND.fullmatch(parts.scheme)
        nodes = [urlsplit(f"//{host}") for host in hosts.split(",") if host]
        addresses = [NodeAddress(node.hostname or "", node.port or 6379) for node in nodes]
        database = 0
        if parts.scheme == "unix":
            addresses = [NodeAddress(unix_socket_path=unquote(parts.path))]
        elif kind:
            database = int(parts.path.strip("/") or 0)
        if not addresses or not (kind or parts.scheme == "unix"):
            raise ValueError
    except ValueError:  # says no more: the URL holds a password
        raise BadSettings(
            reason="TENFOLD_VALKEY_URL must be like valkey://host:6379, valkeys://, valkey+cluster:// or unix:///path"
        ) from None
    user, _, password = user_info.partition(":")
    shared: dict[str, Any] = {
        "addresses": addresses,
        "use_tls": bool(kind and kind["tls"]),
        "credentials": ServerCredentials(unquote(password), unquote(user) or None) if password else None,
        "request_timeout": REQUEST_MS,
        "database_id": database,
        "lazy_connect": True,
    }
    if kind and kind["cluster"]:
        options = AdvancedGlideClusterClientConfiguration(CONNECT_MS)
        return await GlideClusterClient.create(GlideClusterClientConfiguration(**shared, advanced_config=options))
    # The longest pause between attempts to reconnect is factor * base ** retries: 0.8 s.
    retry = BackoffStrategy(num_of_retries=4, factor=50, exponent_base=2)
    alone = AdvancedGlideClientConfiguration(CONNECT_MS)
    return await GlideClient.create(GlideClientConfiguration(**shared, advanced_config=alone, reconnect_strategy=retry))
