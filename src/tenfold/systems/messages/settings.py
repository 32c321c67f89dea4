"""What can be set about messages: TENFOLD_MESSAGES_* or the table [messages]."""

from typing import Annotated

import msgspec

type Positive = Annotated[int, msgspec.Meta(ge=1)]
type Natural = Annotated[int, msgspec.Meta(ge=0)]


class MessagesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: Devices of an account, people in a group, conversations of an account.
    devices: Positive = 8
    group_members: Positive = 256
    conversations: Positive = 2000
    #: Bytes of a frame, of what is sealed for all, and of an envelope.
    frame_bytes: Positive = 1024 * 1024
    content_bytes: Positive = 64 * 1024
    envelope_bytes: Positive = 64 * 1024
    #: Messages that are on their way to a device unacknowledged.
    window: Positive = 1000
    #: Messages that may wait for one device. One with more of them has been left behind, and is ended.
    inbox: Positive = 100_000
    #: Days that a message waits for a device, and that a client's id is known as sent.
    days: Positive = 30
    #: Frames a second of one connection, and how many it may be ahead. Beyond that it is read more slowly.
    frames: Positive = 200
    frames_burst: Positive = 1000
    #: Connections of a process.
    connections: Positive = 20_000
    #: Seconds between signs of life, and of silence after which a connection is closed.
    heartbeat: Positive = 30
    silence: Positive = 90
    #: Seconds over which clients spread when they come back.
    retry_least: Positive = 1
    retry_most: Positive = 60
    #: Messages written in one transaction, and transactions at once in a process.
    batch: Positive = 256
    batches: Positive = 2
    #: People whose presence one connection may watch.
    watched: Positive = 500
    #: Bytes of a part of an upload, of an upload, and of all that an account has uploaded; days that it is kept.
    part_bytes: Positive = 1024 * 1024
    media_bytes: Positive = 2 * 1024**3
    account_bytes: Positive = 10 * 1024**3
    media_days: Positive = 30
    #: Bytes of a backup's part, and of a backup.
    backup_part_bytes: Positive = 4 * 1024 * 1024
    backup_bytes: Positive = 1024**3
    #: Days that an invitation is good.
    invite_days: Positive = 7
    #: People that an account may block.
    blocked: Positive = 1000
    #: Where push services reach whoever runs this (RFC 8292), as mailto:someone@example.org or https://; "": no push.
    push_contact: str = ""
    #: Hosts of push services beside those of the browsers, as "push.example.org" or "127.0.0.1:8099".
    push_hosts: tuple[str, ...] = ()
