"""HTTP doors of devices, their keys and their push messages. Decode, call one action, encode."""

from collections.abc import Sequence

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tenfold.contracts.messages.entities import (
    AddDevice,
    AddKeys,
    ClaimedKeys,
    ClaimKeys,
    OwnDevice,
    PushKey,
    Subscribe,
)
from tenfold.platform.identity import Principal
from tenfold.systems.messages.actions import devices, pushing
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.endpoints.numbers import number_of
from tenfold.systems.messages.errors import DeviceNotFound

#: Bytes of a request with two hundred keys.
MOST_BODY = 128 * 1024


class DeviceEndpoints(Controller):
    path = "/api/v1"
    tags = ("Devices and keys",)
    request_max_body_size = MOST_BODY

    @post("/devices")
    async def add(
        self,
        data: JSONBody[AddDevice],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> OwnDevice:
        """Add a device. With the keys of one that is there, it is that one."""
        return await devices.add(messages, data, principal)

    @get("/devices")
    async def list_own(
        self, messages: NamedDependency[Messages], principal: NamedDependency[Principal]
    ) -> Sequence[OwnDevice]:
        """One's own devices, the oldest first."""
        return await devices.list_own(messages, principal)

    @post("/devices/{device_id:str}/keys", status_code=200)
    async def add_keys(
        self,
        device_id: FromPath[str],
        data: JSONBody[AddKeys],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> OwnDevice:
        """More one-time keys; those that there is no room for aren't kept."""
        return await devices.add_keys(messages, number_of(device_id, DeviceNotFound), data, principal)

    @delete("/devices/{device_id:str}")
    async def end(
        self,
        device_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        """End a device: its keys and all that waits for it are gone, and its connection ends."""
        await devices.end(messages, number_of(device_id, DeviceNotFound), principal)

    @post("/keys/claim", status_code=200)
    async def claim(
        self,
        data: JSONBody[ClaimKeys],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> ClaimedKeys:
        """One prekey of each of these devices, to begin sessions with."""
        return await devices.claim(messages, data, principal)

    @get("/push/key")
    async def push_key(self, messages: NamedDependency[Messages]) -> PushKey:
        """The key to subscribe to push messages with."""
        return pushing.read_key(messages)

    @put("/devices/{device_id:str}/push", status_code=204)
    async def subscribe(
        self,
        device_id: FromPath[str],
        data: JSONBody[Subscribe],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        """Wake a device by push messages."""
        await pushing.subscribe(messages, number_of(device_id, DeviceNotFound), data, principal)

    @delete("/devices/{device_id:str}/push")
    async def unsubscribe(
        self,
        device_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> None:
        await pushing.unsubscribe(messages, number_of(device_id, DeviceNotFound), principal)
