"""Messages in real browsers, against the real command: two people with a browser each, a third with the Python client.

Two crypto stacks understand each other: Olm in WebAssembly, and vodozemac.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from tests.journeys.conftest import PERSON, House

from tenfold.contracts.messages.client import Client
from tenfold.contracts.messages.content import Text
from tenfold.contracts.messages.incoming import Received

pytestmark = [pytest.mark.browser, pytest.mark.journey]

#: A PNG of one dot.
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f00050001ffa37d7bd7"
    "0000000049454e44ae426082"
)


@dataclass
class Somebody:
    """A person at a browser."""

    name: str
    page: Page
    errors: list[str]

    async def say(self, words: str) -> None:
        await self.page.get_by_role("textbox", name="Message", exact=True).fill(words)
        await self.page.keyboard.press("Enter")

    async def begin(self, *names: str, group: str = "") -> None:
        await self.page.get_by_role("button", name="New conversation").first.click()
        dialog = self.page.get_by_role("dialog")
        for name in names:
            await dialog.get_by_role("textbox", name="Name of somebody").fill(name)
            await dialog.get_by_role("button", name=re.compile(f"@{name}")).click()
        if group:
            await dialog.get_by_label("Name of the group").fill(group)
        await dialog.get_by_role("button", name="Begin").click()
        await expect(self.page.get_by_role("textbox", name="Message", exact=True)).to_be_visible()


async def sign_up(house: House, browser: Browser, name: str) -> Somebody:
    context = await browser.new_context(base_url=f"http://localhost:{house.port}", user_agent=PERSON)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto("/signup?next=/messages/app")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").first.fill("correct horse battery")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", name="Messages", exact=True)).to_be_visible()
    return Somebody(name, page, errors)


@pytest.fixture
async def house_of_messages(house: House) -> House:
    house.environment |= {"TENFOLD_ONLY": "messages"}
    house.empty()
    await house.up()
    return house


async def heard(client: Client, count: int) -> list[Received]:
    found: list[Received] = []
    async with asyncio.timeout(30):
        async for _, message in client.messages():
            found.append(message)
            if len(found) == count:
                break
    return found


async def test_two_browsers_and_a_python_client_talk(
    house_of_messages: House, browser: Browser, tmp_path: Path
) -> None:
    house = house_of_messages
    alice, bob = await sign_up(house, browser, "alice"), await sign_up(house, browser, "bob")
    await house.run("account", "create", "--name", "carol", "--password", "correct horse battery")
    _, printed = await house.run("account", "key", "--name", "carol")
    key = next(word for word in printed.split() if word.startswith("tf_"))

    # One tick, two, blue.
    await alice.begin("bob")
    await bob.page.goto("/messages/")
    await alice.say("Is the kettle on?")
    said = alice.page.get_by_role("article").filter(has_text="Is the kettle on?")
    await expect(said.locator('[data-ticks="delivered"]')).to_be_visible()
    row = bob.page.get_by_role("link", name=re.compile("alice"))
    await expect(row.get_by_label("1 unread")).to_be_visible()
    await row.click()
    await expect(bob.page.get_by_role("article").filter(has_text="Is the kettle on?")).to_be_visible()
    await expect(said.locator('[data-ticks="read"]')).to_be_visible()
    await bob.page.get_by_role("textbox", name="Message", exact=True).press_sequentially("It")
    await expect(alice.page.get_by_role("button", name="About bob").get_by_text("typing…")).to_be_visible()
    await bob.say("It is. Bring the maps: https://example.org/maps")
    there = alice.page.get_by_role("article").filter(has_text="Bring the maps")
    await expect(there.get_by_role("link", name="https://example.org/maps")).to_be_visible()

    # Answers, reactions, edits, deletion.
    await there.hover()
    await there.get_by_role("button", name="React 👍").click()
    his = bob.page.get_by_role("article").filter(has_text="Bring the maps")
    await expect(his.get_by_role("button", name="👍", exact=True)).to_be_visible()
    await alice.page.get_by_role("textbox", name="Message", exact=True).focus()
    await alice.page.keyboard.press("ArrowUp")
    await expect(alice.page.get_by_role("textbox", name="Message", exact=True)).to_have_value("Is the kettle on?")
    await alice.say("Is the kettle still on?")
    hers = bob.page.get_by_role("article").filter(has_text="Is the kettle still on?")
    await expect(hers.get_by_text("edited")).to_be_visible()

    # A picture.
    picture = tmp_path / "garden.png"
    picture.write_bytes(DOT)
    await alice.page.get_by_label("Files to send").set_input_files([picture])
    shown = bob.page.get_by_role("img", name="garden.png")
    await expect(shown).to_have_attribute("src", re.compile("^blob:"))

    # A group with a third, who uses the Python client.
    async with Client(house.url, key, tmp_path / "carol") as carol:
        await alice.begin("bob", "carol", group="Garden")
        await expect(alice.page.get_by_role("button", name="About Garden")).to_be_visible()
        await alice.say("Who brings the spades?")
        (named, asked) = await heard(carol, 2)
        assert asked.content == Text(text="Who brings the spades?")
        carol.say(named.conversation, "I do 🌻")
        await bob.page.goto("/messages/app")
        await bob.page.get_by_role("link", name=re.compile("Garden")).click()
        for each in (alice, bob):
            await expect(each.page.get_by_role("article").filter(has_text="I do 🌻")).to_be_visible()
        await bob.say("Good")
        assert (await heard(carol, 4))[-1].content == Text(text="Good")

    # What was said is still there after a reload.
    await alice.page.reload()
    await expect(alice.page.get_by_role("article").filter(has_text="I do 🌻")).to_be_visible()

    # A phone.
    await bob.page.set_viewport_size({"width": 360, "height": 740})
    assert await bob.page.evaluate("document.documentElement.scrollWidth") <= 360
    await bob.page.get_by_role("link", name="All conversations").click()
    await expect(bob.page.get_by_role("link", name=re.compile("Garden"))).to_be_visible()
    assert await bob.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert alice.errors == []
    assert bob.errors == []
