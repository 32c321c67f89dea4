"""Whether the web server can have its port, said before anything has been started."""

import errno
import socket
from contextlib import suppress

from tenfold.platform.errors import TenfoldError


class PortBusy(TenfoldError):
    """Port {port} is in use by another program. Use another one: {how}."""


class CannotListen(TenfoldError):
    """Can't listen on {host}, port {port}: {reason}."""


def check_port(host: str, port: int) -> None:
    """Raises PortBusy or CannotListen. On loopback both families must be free: browsers try either for localhost."""
    hosts = [host, "::1"] if host == "127.0.0.1" else [host]
    for each in hosts:
        try:
            _bind(each, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                free = _free_port(each, port)
                raise PortBusy(port=port, how=f"TENFOLD_PORT={free} make run, or tenfold up --port {free}") from None
            if each == host:
                raise CannotListen(host=host, port=port, reason=error.strerror or error) from None


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _free_port(host: str, taken: int) -> int:
    for port in range(taken + 1, 65536):
        with suppress(OSError):
            _bind(host, port)
            return port
    return 0
