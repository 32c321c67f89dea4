"""Who is behind the proxies in front of us."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network


class Proxies:
    """Believes X-Forwarded-For as far as proxies of ours have written it."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted = [ip_network(network) for network in trusted]

    def visitor(self, peer: str, forwarded: bytes) -> str:
        """The address of the visitor: the last in the chain that no proxy of ours has. What is no address ends it."""
        if not forwarded or not self._is_ours(peer):
            return peer
        for part in reversed(forwarded[-1000:].decode("latin-1").split(",")):
            address = part.strip()
            try:
                ours = self._is_ours(address)
            except ValueError:
                break
            peer = address
            if not ours:
                break
        return peer

    def _is_ours(self, address: str) -> bool:
        parsed = ip_address(address)
        return any(parsed in network for network in self._trusted)
