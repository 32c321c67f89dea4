"""Sealing and opening: Olm between devices, Megolm in groups. All state goes through `Keep`; nothing talks to a server.

vodozemac does the cryptography (X3DH, Double Ratchet, Megolm). What is here is which session is used, who is given
which key, and that what is opened was sealed by whom, for whom and for where it claims.
"""

import time
from base64 import b64decode, b64encode
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
from vodozemac import (
    Account,
    AnyOlmMessage,
    Curve25519PublicKey,
    Ed25519PublicKey,
    Ed25519Signature,
    ExportedSessionKey,
    GroupSession,
    InboundGroupSession,
    MegolmMessage,
    Session,
    SessionKey,
)

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages.content import GroupKey, Inner
from tenfold.contracts.messages.entities import (
    AddDevice,
    AddKeys,
    ClaimedKey,
    Device,
    OneTimeKey,
    device_text,
    key_text,
)
from tenfold.contracts.messages.frames import Envelope
from tenfold.contracts.messages.keep import Keep

#: One-time keys that the server is to have, and sessions that are kept with one device.
KEYS, SESSIONS = 100, 5
#: Messages and seconds after which a group session is replaced.
ROTATE_AFTER, ROTATE_SECONDS = 100, 7 * 86_400
#: Seconds between fallback keys.
FALLBACK_SECONDS = 7 * 86_400


class CannotOpen(ValueError):
    """A message can't be opened here: {reason}."""


class KeyMissing(CannotOpen):
    """The key of a group session hasn't come."""


class SessionBroken(CannotOpen):
    """No session with this device opens it."""


class Forged(CannotOpen):
    """It isn't what it claims to be."""


class NoSession(Exception):
    """A device can't be written to: its prekeys are gone, or forged."""


class Place(NamedTuple):
    """Where a frame says that its message belongs."""

    account: str
    device: str
    conversation: str
    id: str


class Crypto:
    """The keys of one device."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        pickle = keep.state("account")
        if pickle is None:
            self._account: Any = Account()
            self._save_account()
        else:
            self._account = Account.from_pickle(pickle.decode(), keep.key)

    # Keys of its own.

    @property
    def identity_key(self) -> str:
        return str(self._account.curve25519_key.to_base64())

    @property
    def signing_key(self) -> str:
        return str(self._account.ed25519_key.to_base64())

    def add_device(self, account: str, name: str) -> AddDevice:
        """What registers this device."""
        keys = self.more_keys(KEYS // 2, fallback=True)
        if keys.fallback_key is None:
            raise ValueError("this device has been registered before")
        return AddDevice(
            name=name,
            identity_key=self.identity_key,
            signing_key=self.signing_key,
            signature=self._sign(device_text(account, self.identity_key, self.signing_key)),
            one_time_keys=keys.one_time_keys,
            fallback_key=keys.fallback_key,
        )

    def more_keys(self, count: int, *, fallback: bool) -> AddKeys:
        """New prekeys to publish. They are kept before they are told, and are the same until `published`.

        Else an answer that is lost would push a fallback key out of the account that the server still gives away.
        """
        lacking = min(count, 200) - len(self._account.one_time_keys)
        if lacking > 0:
            self._account.generate_one_time_keys(lacking)
        if fallback and not self._account.fallback_key:
            self._account.generate_fallback_key()
        self._save_account()
        keys = [self._signed(name, key.to_base64()) for name, key in self._account.one_time_keys.items()]
        last = [self._signed(name, key.to_base64()) for name, key in self._account.fallback_key.items()]
        return AddKeys(one_time_keys=keys[:200], fallback_key=last[0] if last else None)

    def published(self, keys: AddKeys | AddDevice) -> None:
        """The server has these."""
        self._account.mark_keys_as_published()
        with self._keep.transaction():
            if keys.fallback_key is not None:
                self._keep.set_state("fallback_at", str(time.time()).encode())
            self._save_account()

    def fallback_is_old(self) -> bool:
        return time.time() - float(self._keep.state("fallback_at") or b"0") > FALLBACK_SECONDS

    def _signed(self, name: str, key: str) -> OneTimeKey:
        return OneTimeKey(id=name, key=key, signature=self._sign(key_text(self.identity_key, name, key)))

    def _sign(self, text: bytes) -> str:
        return str(self._account.sign(text).to_base64())

    def _save_account(self) -> None:
        self._keep.set_state("account", self._account.pickle(self._keep.key).encode())

    # Others' devices.

    def pin(self, device: Device) -> bool:
        """Believe a device's keys when it is first seen; whether it was new. Raises Forged for any other keys later."""
        verify(
            device.signing_key, device_text(device.account, device.identity_key, device.signing_key), device.signature
        )
        found = self._keep.one("SELECT account, identity_key, signing_key FROM device WHERE id = ?", device.id)
        if found is None:
            self._keep.run(
                "INSERT INTO device SELECT ?, ?, ?, ?, EXISTS (SELECT 1 FROM device WHERE account = ?)",
                device.id,
                device.account,
                device.identity_key,
                device.signing_key,
                device.account,
            )
            return True
        if tuple(found) != (device.account, device.identity_key, device.signing_key):
            raise Forged("a device has other keys than before")
        return False

    # Each conversation has Olm sessions of its own: what waits is delivered conversation by conversation, and a session
    # opens nothing that is more than 40 messages older than what it has opened.

    def begin(self, device: Device, conversation: str, claimed: ClaimedKey) -> None:
        """A new session with a device, from a prekey of it. Raises Forged."""
        verify(device.signing_key, key_text(device.identity_key, claimed.id, claimed.key), claimed.signature)
        try:
            session = self._account.create_outbound_session(
                Curve25519PublicKey.from_base64(device.identity_key), Curve25519PublicKey.from_base64(claimed.key)
            )
        except ValueError as error:  # a key of low order
            raise Forged("its key is none") from error
        self._save_session(device.id, conversation, session)

    def knows(self, device_id: str, conversation: str) -> bool:
        """Whether there is a session with a device."""
        sql = "SELECT 1 FROM olm WHERE device = ? AND conversation = ? LIMIT 1"
        return self._keep.one(sql, device_id, conversation) is not None

    # Between two devices.

    def seal_for(self, device_id: str, inner: Inner) -> Envelope:
        """An envelope that one device can open. Raises NoSession."""
        sessions = self._sessions(device_id, inner.conversation)
        if not sessions:
            raise NoSession(device_id)
        session = sessions[0]
        kind, data = session.encrypt(msgspec.json.encode(inner)).to_parts()
        self._save_session(device_id, inner.conversation, session)
        return Envelope(kind, b64encode(data).decode().rstrip("="))  # type: ignore[arg-type]

    def open_envelope(self, envelope: Envelope, place: Place, own_device: str) -> Inner:
        """What was sealed for this device. Raises SessionBroken, Forged."""
        device = self._keep.one("SELECT account, identity_key FROM device WHERE id = ?", place.device)
        if device is None or device[0] != place.account:
            raise Forged("its sender's device isn't known")
        try:
            message = AnyOlmMessage.from_parts(envelope.type, _decode64(envelope.body))
        except ValueError as error:
            raise Forged("it is no Olm message") from error
        inner = _read_inner(self._open(message, place, str(device[1])), place)
        if inner.to != own_device:
            raise Forged("it was sealed for another device")
        return inner

    def _open(self, message: AnyOlmMessage, place: Place, identity_key: str) -> bytes:
        first = message.to_pre_key()
        for session in self._sessions(place.device, place.conversation):
            if first is not None and not session.session_matches(first):
                continue
            try:
                plain = session.decrypt(message)
            except ValueError:
                if first is not None:
                    raise SessionBroken("the session that it began doesn't open it") from None
                continue
            self._save_session(place.device, place.conversation, session)
            return bytes(plain)
        if first is None:
            raise SessionBroken("no session opens it")
        try:
            session, plain = self._account.create_inbound_session(Curve25519PublicKey.from_base64(identity_key), first)
        except ValueError as error:
            raise SessionBroken("it begins a session with a key that isn't here") from error
        self._save_account()
        self._save_session(place.device, place.conversation, session)
        return bytes(plain)

    def _sessions(self, device_id: str, conversation: str) -> list[Session]:
        sql = "SELECT pickle FROM olm WHERE device = ? AND conversation = ? ORDER BY used DESC"
        rows = self._keep.rows(sql, device_id, conversation)
        return [Session.from_pickle(pickle, self._keep.key) for (pickle,) in rows]

    def _save_session(self, device_id: str, conversation: str, session: Session) -> None:
        """What was used last is used next; the oldest go."""
        self._keep.run(
            "INSERT OR REPLACE INTO olm VALUES (?, ?, ?, ?, ?)",
            device_id,
            conversation,
            session.session_id,
            session.pickle(self._keep.key),
            time.time_ns(),
        )
        self._keep.run(
            """DELETE FROM olm WHERE device = ? AND conversation = ? AND session NOT IN
               (SELECT session FROM olm WHERE device = ? AND conversation = ? ORDER BY used DESC LIMIT ?)""",
            device_id,
            conversation,
            device_id,
            conversation,
            SESSIONS,
        )

    # In groups.

    def seal_for_group(self, inner: Inner, devices: Collection[str]) -> tuple[str, GroupKey, set[str]]:
        """The content for all devices; the session's key, and the devices that have yet to be given it.

        The key opens this message and those after it: whoever comes later can't read what was said before. Another
        session is begun when somebody who may have a key isn't there any more, and when it is old. Who was given the
        key is noted by `gave`.
        """
        row = self._keep.one(
            "SELECT pickle, begun, count, tried FROM outbound WHERE conversation = ?", inner.conversation
        )
        now = time.time()
        session, begun, count = GroupSession(), now, 0
        good = row is not None and row[2] < ROTATE_AFTER and 0 <= now - row[1] < ROTATE_SECONDS
        if row is not None and good and set(msgspec.json.decode(row[3])) <= set(devices):
            session, begun, count = GroupSession.from_pickle(row[0], self._keep.key), row[1], row[2]
        name, key = str(session.session_id), str(session.session_key.to_base64())
        given = {device for (device,) in self._keep.rows("SELECT device FROM own_key WHERE session = ?", name)}
        sealed = session.encrypt(msgspec.json.encode(inner)).to_base64()
        self._keep.run(
            "INSERT OR REPLACE INTO outbound VALUES (?, ?, ?, ?, ?, ?)",
            inner.conversation,
            name,
            session.pickle(self._keep.key),
            begun,
            count + 1,
            msgspec.json.encode(sorted(devices)).decode(),
        )
        return f"{name}.{sealed}", GroupKey(name, key), set(devices) - given

    def gave(self, conversation: str, key: GroupKey, devices: Collection[str]) -> None:
        """These have been given the key of a session of one's own. What they were given first is what they have."""
        for device in devices:
            self._keep.run(
                "INSERT OR IGNORE INTO own_key VALUES (?, ?, ?, ?, ?)",
                key.session,
                device,
                conversation,
                key.key,
                time.time(),
            )

    def key_for(self, session: str, conversation: str, device: str) -> GroupKey | None:
        """The key of a session of one's own, as a device was given it before; None for any other."""
        row = self._keep.one(
            "SELECT key FROM own_key WHERE session = ? AND device = ? AND conversation = ?",
            session,
            device,
            conversation,
        )
        return None if row is None else GroupKey(session, row[0])

    def take_key(self, key: GroupKey, place: Place) -> None:
        """Keep the key of a group session, from the device whose it is. Raises Forged."""
        try:
            session = InboundGroupSession(SessionKey(key.key))
        except ValueError as error:
            raise Forged("it is no key of a group") from error
        if session.session_id != key.session:
            raise Forged("the key is of another session")
        self._keep_inbound(place.conversation, place.device, session)

    def _keep_inbound(self, conversation: str, device: str, session: InboundGroupSession) -> bool:
        """Of two keys of a session the one that opens more stays, if both are of the same ratchet."""
        place = conversation, device, session.session_id
        row = self._keep.one("SELECT pickle FROM inbound WHERE conversation = ? AND device = ? AND session = ?", *place)
        if row is not None:
            before = InboundGroupSession.from_pickle(row[0], self._keep.key)
            at = before.first_known_index
            ours, theirs = before.export_at(at), session.export_at(at)
            if session.first_known_index >= at or ours is None or theirs is None:
                return False
            if ours.to_base64() != theirs.to_base64():
                return False
        self._keep.run("INSERT OR REPLACE INTO inbound VALUES (?, ?, ?, ?)", *place, session.pickle(self._keep.key))
        return True

    def exported(self, conversation: str, device: str, session: str) -> str | None:
        """The key of a group session of another device, for a backup."""
        row = self._keep.one(
            "SELECT pickle FROM inbound WHERE conversation = ? AND device = ? AND session = ?",
            conversation,
            device,
            session,
        )
        if row is None:
            return None
        found = InboundGroupSession.from_pickle(row[0], self._keep.key)
        key = found.export_at(found.first_known_index)
        return None if key is None else str(key.to_base64())

    def take_exported(self, conversation: str, device: str, session: str, key: str) -> bool:
        """A key out of one's own backup. Whether it opens more than what was here. Raises Forged."""
        try:
            found = InboundGroupSession.import_session(ExportedSessionKey(key))
        except ValueError as error:
            raise Forged("it is no key of a group") from error
        if found.session_id != session:
            raise Forged("the key is of another session")
        return self._keep_inbound(conversation, device, found)

    def open_content(self, sealed: str, place: Place) -> Inner:
        """What was sealed for a group. Raises KeyMissing, Forged."""
        name, _, body = sealed.partition(".")
        row = self._keep.one(
            "SELECT pickle FROM inbound WHERE conversation = ? AND device = ? AND session = ?",
            place.conversation,
            place.device,
            name,
        )
        if row is None:
            raise KeyMissing(name[:100])
        session = InboundGroupSession.from_pickle(row[0], self._keep.key)
        try:
            found = session.decrypt(MegolmMessage.from_base64(body))
        except ValueError as error:
            raise Forged("its session doesn't open it") from error
        used = self._keep.one("SELECT id FROM used_index WHERE session = ? AND n = ?", name, found.message_index)
        if used is not None and used[0] != place.id:
            raise Forged("it was said before")
        inner = _read_inner(bytes(found.plaintext), place)
        self._keep.run("INSERT OR IGNORE INTO used_index VALUES (?, ?, ?)", name, found.message_index, place.id)
        return inner


def verify(signing_key: str, text: bytes, signature: str) -> None:
    """Raises Forged unless the key has signed the text."""
    try:
        Ed25519PublicKey.from_base64(signing_key).verify_signature(text, Ed25519Signature.from_base64(signature))
    except ValueError as error:
        raise Forged("a signature is wrong") from error


def _read_inner(plain: bytes, place: Place) -> Inner:
    try:
        inner = contents.decode_inner(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Forged("its plaintext can't be read") from error
    if Place(inner.sender, inner.device, inner.conversation, inner.id) != place:
        raise Forged("it was sealed for another place")
    return inner


def _decode64(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
