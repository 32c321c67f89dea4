"""What commands share, and those of single systems. What a command needs is imported when it runs."""

import argparse
import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenfold.platform.settings import Settings


def settings_of(options: argparse.Namespace) -> "Settings":
    """What was given by argument, over variables, over the file, over what runs on the same data."""
    from tenfold.app import chosen, load_settings
    from tenfold.platform.supervisor import running

    names = getattr(options, "only", None) or getattr(options, "systems", None)
    given = {name: getattr(options, name, None) for name in ("data", "port", "workers")}
    settings = load_settings(only=tuple(names) if names else None, **given)
    chosen(settings)  # says so when there is no such system
    return running(settings)


def say(text: str) -> None:
    with suppress(BrokenPipeError):  # whoever reads may have left; what runs goes on
        print(text, flush=True)


def add_documents(options: argparse.Namespace) -> None:
    from tenfold import app

    async def show() -> None:
        async for line in app.add_folder(settings_of(options), options.account, options.folder, options.collection):
            say(line)

    asyncio.run(show())


def speak_mcp(options: argparse.Namespace) -> None:
    from tenfold import app

    asyncio.run(app.speak_mcp(settings_of(options), options.account))
