"""What moderation has flagged, as whoever runs this sees it in a terminal."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from tenfold.cli import main

QUESTION = "I will kill you, you stupid bitch"
THREAT = "\x1b[2JI will kill you and your family tonight, says eve@example.org. "


@pytest.fixture
def tenfold(stack: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command on the data of the stack. Its status, and what it says."""
    monkeypatch.setenv("TENFOLD_DATABASE_URL", stack.settings.database_url.reveal())
    monkeypatch.setenv("TENFOLD_VALKEY_URL", stack.settings.valkey_url.reveal())
    monkeypatch.setenv("TENFOLD_NATS_URL", stack.settings.nats_url.reveal())
    monkeypatch.setenv("TENFOLD_SECRET", stack.settings.secret.reveal())

    async def run(*arguments: str) -> tuple[int, list[str]]:
        capsys.readouterr()  # what was logged before
        status = await asyncio.to_thread(main, [*arguments, "--data", str(stack.settings.data)])
        shown = capsys.readouterr()
        return status, (shown.out + shown.err).splitlines()

    return run


async def test_what_was_flagged_is_listed_and_marked(stack: Any, tenfold: Any) -> None:
    assert await tenfold("review", "list", "chat") == (0, ["Nothing waits."])
    alice = await stack.account("alice", "enterprise")
    for text in (QUESTION, THREAT + "roses " * 200):
        refused = await alice.post("/chat/api/files", params={"name": "a.txt"}, content=text.encode())
        assert refused.status_code == 422
    status, lines = await tenfold("review", "list", "chat")
    assert (status, len(lines)) == (0, 4)
    newest, shown, oldest, _ = lines
    assert "  file  " in newest
    assert re.search(r"  harassment [01]\.\d\d(, |$)", newest)
    assert "I will kill you and your family tonight" in shown
    assert shown.endswith(" ...")
    assert "eve@example.org" not in shown
    assert "\x1b" not in "".join(lines)
    assert len((await tenfold("review", "list", "chat", "--full"))[1][1]) > len(shown) + 500
    assert len((await tenfold("review", "list", "chat", "--limit", "1"))[1]) == 2

    number = newest.split()[2]
    assert await tenfold("review", "done", "chat", number) == (0, ["1 marked as looked at."])
    assert await tenfold("review", "done", "chat", number) == (0, ["0 marked as looked at."])
    assert (await tenfold("review", "list", "chat"))[1][0] == oldest


async def test_mistakes_are_said(tenfold: Any) -> None:
    status, lines = await tenfold("review", "list", "links")
    assert (status, lines) == (
        1,
        ["tenfold: The system links holds nothing for people to look at; these do: chat, messages."],
    )
    status, lines = await tenfold("review", "done", "chat", "x")
    assert status == 1
    assert "as the list shows it" in lines[-1]
