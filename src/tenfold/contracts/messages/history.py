"""What a conversation looks like: reactions, edits and what was taken back, laid over the messages they are about.

Pure: whoever keeps messages in another way can use it too. What somebody may not do is passed over: messages are edited
by their sender only, and taken back by their sender or an admin of the group.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import UnsetType

from tenfold.contracts.messages.content import About, Delete, Edit, File, Gone, Reaction, Shown, Text, To
from tenfold.contracts.messages.incoming import Received


@dataclass(slots=True)
class Line:
    """A message as people see it now."""

    message: Received
    #: What it says now; Gone once it was taken back.
    content: Shown
    edited: bool = False
    #: By account: the last of each.
    reactions: dict[str, str] = field(default_factory=dict)


def lines(messages: Iterable[Received], admins: Collection[str] = ()) -> list[Line]:
    """Messages of one conversation, in the order of their numbers, as they are to be seen.

    `admins` are accounts that may take back what others said.
    """
    found: dict[To, Line] = {}
    for message in sorted(messages, key=lambda each: each.seq):
        content = message.content
        match content:
            case Reaction():
                if (line := found.get(content.to)) is not None:
                    line.reactions.pop(message.account, None)
                    if content.emoji:
                        line.reactions[message.account] = content.emoji
            case Edit():
                line = found.get(content.to)
                if line is not None and content.to.account == message.account:
                    _edit(line, content.text)
            case Delete():
                line = found.get(content.to)
                if line is not None and (content.to.account == message.account or message.account in admins):
                    line.content, line.edited, line.reactions = Gone("deleted"), False, {}
            case _:
                # An id is its device's own: a second one of the account can't put itself before the first.
                found.setdefault(To(message.account, message.id), Line(message, content))
    return list(found.values())


def _edit(line: Line, text: str) -> None:
    match line.content:
        case Text(reply_to=reply_to):
            line.content, line.edited = Text(text=text, reply_to=reply_to), True
        case File():
            kept = {name: getattr(line.content, name) for name in line.content.__struct_fields__}
            line.content, line.edited = File(**{**kept, "text": text}), True
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Title:
    """What is said about a conversation as a whole."""

    name: str = ""
    #: Seconds after which new messages disappear; 0: never.
    expires: int = 0


def title(messages: Iterable[Received], admins: Collection[str] | None = None) -> Title:
    """What the last `about` messages say. `admins` may say it; None: everybody may, as in conversations of two."""
    told: Mapping[str, str | int] = {}
    for message in sorted(messages, key=lambda each: each.seq):
        if isinstance(message.content, About) and (admins is None or message.account in admins):
            about = {"name": message.content.name, "expires": message.content.expires}
            told = {**told, **{name: value for name, value in about.items() if not isinstance(value, UnsetType)}}
    return Title(**told)  # type: ignore[arg-type]
