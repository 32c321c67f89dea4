"""Messages in a terminal: python -m tenfold.contracts.messages.terminal --key KEY.

It reads lines and prints what comes. What begins with a slash is a command; everything else is said in the open
conversation.
"""

import argparse
import asyncio
import mimetypes
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import aiohttp

from tenfold.contracts.messages import content as contents
from tenfold.contracts.messages import frames
from tenfold.contracts.messages.api import Refused
from tenfold.contracts.messages.client import Client
from tenfold.contracts.messages.connection import DeviceEnded, Ended, NotSent
from tenfold.contracts.messages.files import FileBroken
from tenfold.contracts.messages.incoming import Received
from tenfold.contracts.messages.keep import FolderInUse

#: Milliseconds since 1970 of the latest time that is shown.
MOST_AT = 4_000_000_000_000
HELP = """/list                 conversations
/to NAME              open the conversation with somebody, or begin it
/group NAME PEOPLE    begin a group: a name for it, and names of people
/open NUMBER          open a conversation of the list
/file PATH            send a file
/get NUMBER           fetch the file of a message, into this folder
/verify NAME          the safety number that you and they should see
/backup PASSPHRASE    keep all this, sealed, at the server, for a device that comes later
/restore PASSPHRASE   take in what another device has kept there
/quit"""


class Terminal:
    """One person at one terminal."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._open = ""
        self._names: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        self._listed: list[str] = []
        self._files: list[contents.File] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._commands: Mapping[str, Callable[[str], Awaitable[None]]] = {
            "list": self._list,
            "to": self._to,
            "group": self._group,
            "open": self._choose,
            "file": self._file,
            "get": self._get,
            "verify": self._verify,
            "backup": self._backup,
            "restore": self._restore,
        }

    async def run(self) -> None:
        """Until /quit, or the end of what is typed."""
        client = self._client
        client.listeners.append(self._heard)
        await self._list("")
        print("Type /help for what can be done.", flush=True)
        showing = asyncio.create_task(self._show())
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        reading = asyncio.create_task(self._read(reader))
        done, _ = await asyncio.wait((showing, reading), return_when=asyncio.FIRST_COMPLETED)
        for task in (showing, reading):
            task.cancel()
        await asyncio.gather(showing, reading, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        for upload in self._client.media.unfinished():
            await self._try(self._resume(upload))
        while True:
            try:
                line = (await reader.readline()).decode(errors="replace")
            except ValueError:  # longer than any message may be; what is left of it is read as another
                print("! This line is too long", flush=True)
                continue
            if not line or line.strip() == "/quit":
                break
            await self._try(self._obey(line.strip()))
        await self._client.all_sent()
        await asyncio.gather(*self._sending)

    async def _try(self, doing: Awaitable[None]) -> None:
        try:
            await doing
        except (Refused, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            print(f"! {printable(str(error)) or type(error).__doc__}", flush=True)

    async def _resume(self, upload: str) -> None:
        try:
            await self._client.resume_file(upload)
        except (Refused, FileBroken, OSError):
            self._client.media.give_up(upload)
            raise

    async def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if not line:
            return
        if line.startswith("/"):
            command = self._commands.get(word[1:])
            await command(rest.strip()) if command else print(HELP, flush=True)
        elif self._open:
            task = asyncio.create_task(self._watch(self._client.say(self._open, line)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        else:
            print("! Open a conversation first: /to NAME", flush=True)

    async def _watch(self, name: str) -> None:
        try:
            await self._client.sent(name)
        except NotSent as error:
            print(f"! This wasn't sent: {error.code}", flush=True)

    async def _list(self, _: str) -> None:
        await self._look()
        for n, place in enumerate(self._listed, 1):
            print(f"{n:3}  {self._titles[place]}", flush=True)

    async def _look(self) -> None:
        self._listed = []
        for place in await self._client.conversations():
            self._listed.append(place.id)
            people = [member.account for member in place.members]
            # People choose their names, and what steers a terminal could be among it.
            self._names |= {person.id: printable(person.display_name or person.name) for person in people}
            others = ", ".join(self._names[person.id] for person in people if person.id != self._client.account)
            self._titles[place.id] = printable(self._client.title(place.id).name) or others or "nobody else"

    async def _to(self, name: str) -> None:
        await self._enter(await self._client.direct(await self._find(name)))

    async def _group(self, rest: str) -> None:
        name, *people = rest.split() or [""]
        if not people:
            print("! /group NAME PEOPLE", flush=True)
            return
        await self._enter(await self._client.group([await self._find(each) for each in people], name))

    async def _choose(self, number: str) -> None:
        if not number.isdecimal() or not 1 <= int(number) <= len(self._listed):
            print("! /list shows the numbers", flush=True)
        else:
            await self._enter(self._listed[int(number) - 1])

    async def _enter(self, conversation: str) -> None:
        if conversation not in self._titles:
            await self._look()
        self._open = conversation
        print(f"> {self._titles.get(conversation, conversation)}", flush=True)

    async def _find(self, name: str) -> str:
        for person in await self._client.people(name):
            if person.name.lower() == name.lower():
                return person.id
        raise Refused(404, "person_not_found", f"there is no {name}")

    async def _file(self, path: str) -> None:
        if not self._open:
            print("! Open a conversation first: /to NAME", flush=True)
            return
        file = Path(path).expanduser()  # noqa: ASYNC240  # it reads no disk
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        await self._client.send_path(self._open, file, kind)

    async def _get(self, number: str) -> None:
        if not number.isdecimal() or not 1 <= int(number) <= len(self._files):
            print("! No file has this number", flush=True)
            return
        file = self._files[int(number) - 1]
        # Whoever sent it chose the name.
        target = Path(Path(printable(file.name).replace("\\", "/")).name.lstrip(".")[-100:] or "file")
        await self._client.media.save(file, target)
        print(f"  {target} ({file.size:,} bytes)", flush=True)

    async def _verify(self, name: str) -> None:
        number = await self._client.safety_number(await self._find(name))
        print("  " + " ".join(number[at : at + 5] for at in range(0, 60, 5)), flush=True)

    async def _backup(self, passphrase: str) -> None:
        print(f"  {await self._client.past.make(passphrase):,} messages are kept", flush=True)

    async def _restore(self, passphrase: str) -> None:
        print(f"  {await self._client.past.restore(passphrase):,} messages have come", flush=True)

    async def _show(self) -> None:
        async for _, message in self._client.messages():
            if message.conversation not in self._titles:
                await self._try(self._look())
            for account, device in self._client.new_devices:
                who = self._names.get(account, account)
                print(f"! {who} has a new device ({device}): /verify says whether it is theirs", flush=True)
                self._client.told_of(device)
            self._print(message)
            if message.account != self._client.account and message.conversation == self._open:
                with suppress(ConnectionError):  # it is told with the next one
                    await self._client.read(message.conversation, message.seq)

    def _print(self, message: Received) -> None:
        at = datetime.fromtimestamp(min(max(message.at, 0), MOST_AT) / 1000).astimezone()
        who = "you" if message.account == self._client.account else self._names.get(message.account, message.account)
        where = "" if message.conversation == self._open else f"[{self._titles.get(message.conversation, '?')}] "
        print(f"{at:%H:%M} {where}{who}: {self._words(message)}", flush=True)

    def _words(self, message: Received) -> str:
        match message.content:
            case contents.Text():
                return printable(message.content.text)
            case contents.File():
                self._files.append(message.content)
                return f"{printable(message.content.name)}, {message.content.size:,} bytes: /get {len(self._files)}"
            case contents.Reaction():
                return printable(message.content.emoji) or "takes a reaction back"
            case contents.Edit() if message.content.to.account != message.account:
                return "(tries to change what somebody else has said)"
            case contents.Edit():
                return f"now says: {printable(message.content.text)}"
            case contents.Delete():
                return "takes a message back"
            case contents.About() if isinstance(message.content.name, str):
                return f"calls this {printable(message.content.name)}"
            case contents.Unopened():
                return f"(can't be opened yet: {printable(message.content.why)})"
            case contents.Unknown():
                return f"({printable(message.content.kind)}, which this program doesn't know)"
            case _:
                return "(something that this program doesn't know)"

    def _heard(self, frame: frames.FromServer) -> None:
        if isinstance(frame, frames.Receipt) and frame.read and frame.conversation == self._open:
            print(f"  {self._names.get(frame.account, frame.account)} has read it", flush=True)


def printable(text: str) -> str:
    """Text without what would steer a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


async def talk(options: argparse.Namespace) -> None:
    async with Client(options.server, options.key, options.folder, name="Terminal") as client:
        await Terminal(client).run()


def main() -> None:
    """Read the arguments and talk."""
    parser = argparse.ArgumentParser(prog="python -m tenfold.contracts.messages.terminal", description=__doc__)
    parser.add_argument("--server", default="http://127.0.0.1:8080", metavar="URL")
    parser.add_argument("--key", default=os.environ.get("TENFOLD_KEY"), help="of `tenfold account key`, or TENFOLD_KEY")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".tenfold-messages", help="where keys are kept")
    options = parser.parse_args()
    if not options.key:
        parser.error("a key is needed: tenfold account key --name NAME")
    try:
        asyncio.run(talk(options))
    except KeyboardInterrupt:
        sys.exit(130)
    except DeviceEnded:
        sys.exit("This device was ended. Remove its folder to begin as a new one.")
    except Ended as error:
        sys.exit(type(error).__doc__)
    except FolderInUse:
        sys.exit(f"{options.folder}: {FolderInUse.__doc__}")
    except (Refused, aiohttp.ClientError, ValueError) as error:
        sys.exit(f"{options.server}: {error}")


if __name__ == "__main__":
    main()
