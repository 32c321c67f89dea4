"""Messages in real browsers, against the real command: two people with a browser each, a third with the Python client.

Two crypto stacks understand each other: Olm in WebAssembly, and vodozemac.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect
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

    def message(self, words: str) -> Locator:
        return self.page.get_by_role("article").filter(has_text=words)

    async def open(self, name: str) -> None:
        await self.page.goto("/messages/app")
        await self.page.get_by_role("link", name=re.compile(name)).click()

    async def safety_number(self, name: str) -> str:
        await self.page.get_by_role("button", name=f"About {name}").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Safety number").click()
        digits = dialog.locator(".digits")
        await expect(digits).to_have_text(re.compile(r"^\D*(\d{5}\D*){12}$"))
        number = "".join(re.findall(r"\d", await digits.text_content() or ""))
        await self.page.keyboard.press("Escape")
        return number

    async def begin(self, *names: str, group: str = "") -> None:
        await self.page.get_by_role("button", name="New conversation").first.click()
        dialog = self.page.get_by_role("dialog")
        for name in names:
            await dialog.get_by_role("textbox", name="Name of somebody").fill(name)
            await dialog.get_by_role("button", name=re.compile(f"@{name}")).click()
        if group:
            await dialog.get_by_label("Name of the group").fill(group)
        await dialog.get_by_role("button", name="Begin").click()
        await expect(self.page.get_by_role("button", name=f"About {group or names[0]}")).to_be_visible()
        await expect(self.page.get_by_role("textbox", name="Message", exact=True)).to_be_visible()


async def sign_up(house: House, browser: Browser, name: str, *, known: bool = False) -> Somebody:
    """Somebody at a new browser, with a new account or, `known`, with one that they have."""
    context = await browser.new_context(base_url=f"http://localhost:{house.port}", user_agent=PERSON)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"/{'signin' if known else 'signup'}?next=/messages/app")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").first.fill("correct horse battery")
    await page.get_by_role("button", name="Sign in" if known else "Sign up", exact=True).click()
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


async def test_a_new_browser_reads_what_was_said_before_it_came(house_of_messages: House, browser: Browser) -> None:
    house = house_of_messages
    alice, bob = await sign_up(house, browser, "alice"), await sign_up(house, browser, "bob")
    await house.run("account", "create", "--name", "carol", "--password", "correct horse battery")
    await bob.begin("alice")
    await bob.say("The maps are in the shed")
    await alice.open("bob")
    await expect(alice.message("in the shed")).to_be_visible()
    assert await alice.safety_number("bob") == await bob.safety_number("alice")

    # Written without a connection, and sent once when there is one again.
    await alice.page.context.set_offline(True)
    await alice.say("Found them")
    await expect(alice.message("Found them").locator('[data-ticks="waiting"]')).to_be_visible()
    await alice.page.context.set_offline(False)
    await expect(alice.message("Found them").locator('[data-ticks="read"]')).to_be_visible(timeout=90_000)
    await expect(bob.message("Found them")).to_have_count(1)

    # In a group, whose messages need keys of their own.
    await bob.begin("alice", "carol", group="Garden")
    await bob.say("Who waters the beans?")
    await alice.open("Garden")
    await expect(alice.message("waters the beans")).to_be_visible()

    # A backup, of which nobody knows the passphrase but who made it.
    await alice.page.goto("/messages/app/settings")
    backup = alice.page.get_by_role("region", name="Backup")
    await backup.get_by_label("Passphrase").fill("four random words here")
    await backup.get_by_label("The same once more").fill("four random words here")
    await backup.get_by_role("button", name="Back up").click()
    await expect(backup.get_by_text("Made just now")).to_be_visible()
    await alice.page.context.close()
    await bob.say("Nobody? Then I do")

    alice = await sign_up(house, browser, "alice", known=True)
    await alice.page.get_by_role("link", name="Restore it").click()
    backup = alice.page.get_by_role("region", name="Backup")
    await backup.get_by_label("Passphrase").fill("four random words there")
    await backup.get_by_role("button", name="Restore", exact=True).click()
    await expect(backup.get_by_text(re.compile("doesn.t open the backup"))).to_be_visible()
    await backup.get_by_label("Passphrase").fill("four random words here")
    await backup.get_by_role("button", name="Restore", exact=True).click()
    await expect(backup.get_by_text("messages restored.", exact=False)).to_be_visible()
    await alice.open("bob")
    for words in ("in the shed", "Found them"):
        await expect(alice.message(words)).to_have_count(1)
    await alice.open("Garden")
    await expect(alice.message("waters the beans")).to_be_visible()
    await expect(bob.page.get_by_text("alice has a new device")).to_be_visible()
    await bob.say("Welcome back")
    await expect(alice.message("Welcome back")).to_be_visible()

    # On a phone, the settings too fit its width.
    await alice.page.set_viewport_size({"width": 360, "height": 740})
    await alice.page.goto("/messages/app/settings")
    await expect(alice.page.get_by_role("region", name="Notices").get_by_text("PUSH_CONTACT")).to_be_visible()
    assert await alice.page.evaluate("document.documentElement.scrollWidth") <= 360
    await alice.open("Garden")

    # What disappears is gone on both sides, by itself.
    await bob.page.get_by_role("button", name="About Garden").click()
    await bob.page.get_by_role("dialog").get_by_label("New messages disappear").select_option("3600")
    await bob.page.keyboard.press("Escape")
    await expect(alice.page.get_by_text("made new messages disappear after 1 hour")).to_be_visible()
    await bob.page.reload()
    await expect(bob.page.get_by_role("button", name="About Garden")).to_be_visible()
    await expect(bob.page.get_by_title("New messages disappear after 1 hour")).to_be_visible()
    await bob.page.clock.install()
    await alice.page.clock.install()
    await bob.say("The key is under the pot")
    await expect(alice.message("under the pot")).to_be_visible()
    for each in (alice, bob):
        await each.page.clock.fast_forward("01:01:00")
        await expect(each.message("under the pot")).to_have_count(0)
    assert alice.errors == []
    assert bob.errors == []
