"""Lays out an empty flat: `make new-system NAME=videos`. What it writes passes every check, and does one small thing.

The templates are the smallest system that uses each room as it is meant: one table, one action, one endpoint, one page.
"""

import argparse
import keyword
import re
import sys
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[1]

FILES = {
    "src/tenfold/systems/{name}/__init__.py": '''
        """{Title}: one sentence that says what it is.

        Four more: what goes in, what comes out, what is hard about it, and what it promises.
        """
        ''',
    "src/tenfold/systems/{name}/settings.py": '''
        """What can be set about {name}: TENFOLD_{NAME}_* or the table [{name}]."""

        import msgspec


        class {Title}Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
            #: Notes that one page of a list holds.
            page: int = 50
        ''',
    "src/tenfold/systems/{name}/errors.py": '''
        """What can be wrong with {name}."""

        from tenfold.platform import errors


        class NoteNotFound(errors.NotFound):
            """There is no note {id}."""
        ''',
    "src/tenfold/systems/{name}/types.py": '''
        """The words of {name}: what is kept, what is asked, what is answered."""

        from typing import Annotated

        import msgspec
        from msgspec import Meta


        class WriteNote(msgspec.Struct, forbid_unknown_fields=True):
            """Keep a note."""

            text: Annotated[str, Meta(min_length=1, max_length=500, pattern="^[^\\\\x00]*$")]


        class StoredNote(msgspec.Struct):
            """A row of {name}.note."""

            id: int
            text: str


        class Note(msgspec.Struct):
            """A note as its owner sees it. 64-bit ids are text in JSON, where numbers are doubles."""

            id: str
            text: str
        ''',
    "src/tenfold/systems/{name}/rules.py": '''
        """Pure decisions of {name}. No I/O."""


        def tidied(text: str) -> str:
            """Text without white space at its ends."""
            return text.strip()
        ''',
    "src/tenfold/systems/{name}/store.py": '''
        """SQL of {name}. Takes a transaction, returns structs, decides nothing."""

        from tenfold.platform.db import Tx
        from tenfold.systems.{name}.types import StoredNote


        async def insert_note(tx: Tx, owner_id: int, note: StoredNote) -> None:
            sql = "INSERT INTO {name}.note (owner_id, id, text) VALUES ($1, $2, $3)"
            await tx.execute(sql, owner_id, note.id, note.text)


        async def find_note(tx: Tx, owner_id: int, id: int) -> StoredNote | None:
            sql = "SELECT id, text FROM {name}.note WHERE owner_id = $1 AND id = $2"
            return await tx.find(StoredNote, sql, owner_id, id)
        ''',
    "src/tenfold/systems/{name}/actions.py": '''
        """What can be done in {name}. Opens transactions."""

        from tenfold.platform.errors import Unauthorized
        from tenfold.platform.identity import Principal
        from tenfold.platform.runtime import Runtime
        from tenfold.systems.{name} import rules, store
        from tenfold.systems.{name}.errors import NoteNotFound
        from tenfold.systems.{name}.types import Note, StoredNote, WriteNote


        async def write(runtime: Runtime, wish: WriteNote, principal: Principal) -> Note:
            """Keep a note. Raises Unauthorized for a stranger."""
            if principal.account_id is None:
                raise Unauthorized
            note = StoredNote(runtime.ids.next(), rules.tidied(wish.text))
            async with runtime.db.transaction() as tx:
                await store.insert_note(tx, principal.account_id, note)
            return Note(str(note.id), note.text)


        async def read(runtime: Runtime, id: int, principal: Principal) -> Note:
            """The person's own note. Raises Unauthorized, NoteNotFound."""
            if principal.account_id is None:
                raise Unauthorized
            async with runtime.db.read(fresh=True) as tx:
                note = await store.find_note(tx, principal.account_id, id)
            if note is None:
                raise NoteNotFound(id=id)
            return Note(str(note.id), note.text)
        ''',
    "src/tenfold/systems/{name}/endpoints.py": '''
        """HTTP doors of {name}. Decode, call one action, encode."""

        from typing import Annotated

        from litestar import Controller, get, post
        from litestar.di import NamedDependency
        from litestar.params import FromPath, JSONBody
        from msgspec import Meta

        from tenfold.platform.identity import Principal
        from tenfold.platform.runtime import Runtime
        from tenfold.systems.{name} import actions
        from tenfold.systems.{name}.types import Note, WriteNote

        type Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]


        class {Title}Endpoints(Controller):
            path = "/api/notes"
            tags = ("{Title}",)

            @post()
            async def write(
                self,
                data: JSONBody[WriteNote],
                runtime: NamedDependency[Runtime],
                principal: NamedDependency[Principal],
            ) -> Note:
                return await actions.write(runtime, data, principal)

            @get("/{note_id:int}")
            async def read(
                self, note_id: FromPath[Id], runtime: NamedDependency[Runtime], principal: NamedDependency[Principal]
            ) -> Note:
                return await actions.read(runtime, note_id, principal)
        ''',
    "src/tenfold/systems/{name}/system.py": '''
        """The front door of {name}."""

        from collections.abc import AsyncIterator
        from contextlib import asynccontextmanager

        from tenfold.platform.runtime import Runtime
        from tenfold.platform.system import System
        from tenfold.systems.{name}.endpoints import {Title}Endpoints
        from tenfold.systems.{name}.settings import {Title}Settings


        @asynccontextmanager
        async def start(runtime: Runtime) -> AsyncIterator[Runtime]:
            """What it holds open in a process; so far, nothing of its own."""
            yield runtime


        system: System[Runtime] = System(
            name="{name}",
            title="{Title}",
            summary="One line for the home page.",
            package="tenfold.systems.{name}",
            settings={Title}Settings,
            start=start,
            controllers=({Title}Endpoints,),
            provide=lambda runtime: {"runtime": runtime},
        )
        ''',
    "src/tenfold/systems/{name}/migrations/0001_{name}.sql": """
        CREATE SCHEMA {name};

        -- distribute: {name}.note by owner_id
        CREATE TABLE {name}.note (
            owner_id bigint NOT NULL,
            id       bigint NOT NULL,
            text     text NOT NULL,
            PRIMARY KEY (owner_id, id)
        );
        """,
    "src/tenfold/contracts/{name}.py": '''
        """What {name} promises to others: its events."""
        ''',
    "tests/systems/{name}/test_endpoints.py": '''
        """{Title} through its doors."""

        from typing import Any

        import httpx


        async def test_a_note_is_its_owners_alone(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
            written = await alice.post("/{name}/api/notes", json={"text": " hello "})
            assert written.status_code == 201, written.text
            note: dict[str, Any] = written.json()
            assert note["text"] == "hello"
            path = f"/{name}/api/notes/{note['id']}"
            assert (await alice.get(path)).json() == note
            assert (await bob.get(path)).status_code == 404


        async def test_a_stranger_is_asked_to_sign_in(stranger: httpx.AsyncClient) -> None:
            assert (await stranger.post("/{name}/api/notes", json={"text": "x"})).status_code == 401
        ''',
    "web/src/systems/{name}/{Title}Page.svelte": """
        <script lang="ts">
          // The first page of {name}.
        </script>

        <svelte:head><title>{Title} · Tenfold</title></svelte:head>

        <h1>{Title}</h1>
        <p>Nothing here yet.</p>
        """,
}


def lay_out(name: str, root: Path) -> list[Path]:
    """Write the files of a new system and put it on the lists. What was written. Raises ValueError."""
    if not re.fullmatch(r"[a-z][a-z0-9]{2,20}", name) or keyword.iskeyword(name) or name in ("platform", "tenfold"):
        raise ValueError(f"{name!r} can't name a package, a schema and a host: take 3 to 21 lower-case letters")
    if (root / "src/tenfold/systems" / name).exists():
        raise ValueError(f"there is a system {name} already")
    words = {"name": name, "NAME": name.upper(), "Title": name.capitalize()}
    written = []
    for template, text in FILES.items():
        path = root / _filled(template, words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(dedent(text).lstrip("\n"), words))
        written.append(path)
    app = root / "src/tenfold/app.py"
    lines = app.read_text().splitlines()
    last = max(place for place, line in enumerate(lines) if line.startswith("from tenfold.systems."))
    lines.insert(last + 1, f"from tenfold.systems.{name}.system import system as {name}")
    imports = sorted(line for line in lines if line.startswith("from tenfold.systems."))
    first = next(place for place, line in enumerate(lines) if line.startswith("from tenfold.systems."))
    lines[first : last + 2] = imports
    at = next(place for place, line in enumerate(lines) if line.startswith("SYSTEMS:"))
    lines[at] = re.sub(r",?\)$", f", {name})", lines[at])
    app.write_text("\n".join(lines) + "\n")
    pages = root / "web/src/systems/index.ts"
    page = f"'': () => import('./{name}/{words['Title']}Page.svelte')"
    entry = f"  {{ name: '{name}', title: '{words['Title']}', nav: [], pages: {{ {page} }} }},\n];\n"
    pages.write_text(pages.read_text().replace("\n];\n", f"\n{entry}", 1))
    return [*written, app, pages]


def _filled(template: str, words: dict[str, str]) -> str:
    """Only our three words are replaced; all other braces are the code's own."""
    return re.sub(r"\{(name|NAME|Title)\}", lambda found: words[found[1]], template)


def main() -> int:
    """Lay out the flat that was asked for and say what to do next."""
    parser = argparse.ArgumentParser(description="Lay out an empty system that passes every check.")
    parser.add_argument("name", help="one lower-case word: the package, the schema, the prefix, the host")
    try:
        for path in lay_out(parser.parse_args().name, ROOT):
            print(path.relative_to(ROOT))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print("Next: docs/add-a-feature.md says what goes into which file. `make check` and `make test` pass as it is.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
