"""Chat in a real browser, against the real command; the model says what a story needs, and when."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect
from tests.journeys.conftest import PERSON, House

from tenfold.platform.inference.testing import Scripted, scripted

pytestmark = [pytest.mark.browser, pytest.mark.journey]

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
async def script() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
def model(script: Scripted) -> Iterator[Scripted]:
    """The only model there is, as it was at first."""
    script.asked, script.left, script.unheld = [], 0, 0
    yield script
    script.goes_on.set()


@pytest.fixture(scope="module")
async def chat(shared_house: House, script: Scripted) -> str:
    """Its address, with an account that may ask often."""
    tiers = {"fast": {"endpoints": [{"url": script.url}]}, "smart": {"same_as": "fast"}}
    shared_house.environment |= {"TENFOLD_TIERS": json.dumps(tiers), "TENFOLD_ONLY": "chat"}
    shared_house.empty()
    await shared_house.up()
    account = ("--name", "ada", "--password", PASSWORD, "--tier", "enterprise")
    status, said = await shared_house.run("account", "create", *account)
    assert status == 0, said
    return f"http://localhost:{shared_house.port}"


@pytest.fixture
async def page(browser: Browser, chat: str, model: Scripted) -> AsyncIterator[Page]:
    async with window(browser, chat) as page:
        yield page


@pytest.fixture
async def phone(browser: Browser, chat: str, model: Scripted) -> AsyncIterator[Page]:
    size = ViewportSize(width=390, height=844)
    async with window(browser, chat, viewport=size, is_mobile=True, has_touch=True) as page:
        yield page


@asynccontextmanager
async def window(browser: Browser, address: str, **how: Any) -> AsyncIterator[Page]:
    """Ada's, where a question can be asked. What goes wrong in it unseen is an error too."""
    context = await browser.new_context(base_url=address, user_agent=PERSON, **how)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto("/signin?next=/chat/")
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password").first.fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(question_of(page)).to_be_visible()
    yield page
    await context.close()
    assert errors == []


def question_of(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Your question", exact=True)


def answers(page: Page) -> Locator:
    said = page.get_by_role("log").get_by_role("article")
    return said.filter(has=page.get_by_role("heading", name="Answer", exact=True))


def versions(page: Page, shown: str) -> Locator:
    return page.get_by_role("group", name="Versions").filter(has_text=shown)


def output_of(block: Locator) -> Locator:
    return block.get_by_role("status").filter(has_text=re.compile(r"\d s"))


async def ask(page: Page, text: str) -> None:
    await question_of(page).fill(text)
    await page.get_by_role("button", name="Send").click()


async def test_an_answer_grows_is_stopped_and_outlives_a_reload(page: Page, model: Scripted, tmp_path: Path) -> None:
    send, stop = page.get_by_role("button", name="Send"), page.get_by_role("button", name="Stop")
    model.words, model.unheld = ["The first half. ", "The second half."], 1
    model.goes_on.clear()
    await ask(page, "How does it grow?")
    await expect(answers(page)).to_contain_text("The first half.")
    await expect(stop).to_be_visible()
    await expect(answers(page)).not_to_contain_text("second")
    model.goes_on.set()
    await expect(answers(page)).to_contain_text("The first half. The second half.")
    await expect(send).to_be_visible()

    model.goes_on.clear()
    await ask(page, "And when I stop it?")
    await expect(answers(page).last).to_contain_text("The first half.")
    await stop.click()
    await expect(answers(page).last).to_contain_text("You stopped it here.")
    await expect(answers(page).last).to_contain_text("The first half.")
    await expect(send).to_be_visible()
    await page.screenshot(path=tmp_path / "stopped.png")
    assert model.left == 1, "nobody works for an answer that nobody wants"

    await ask(page, "And when I reload the page?")
    await expect(answers(page).last).to_contain_text("The first half.")
    await page.reload()
    await expect(answers(page)).to_have_count(3)
    await expect(answers(page).last).to_contain_text("The first half.")
    await expect(answers(page).last).not_to_contain_text("second")
    await expect(stop).to_be_visible()
    model.goes_on.set()
    await expect(answers(page).last).to_contain_text("The first half. The second half.")
    assert (await answers(page).last.inner_text()).count("first") == 1
    await expect(send).to_be_visible()
    await expect(answers(page).nth(1)).to_contain_text("You stopped it here.")
    assert len([each for each in model.asked if each.get("stream")]) == 3, "reloading asks nobody again"


async def test_branches_stay_beside_each_other_and_code_is_run(page: Page, model: Scripted, tmp_path: Path) -> None:
    model.words = ["Red ", "is warm."]
    await ask(page, "What is red?")
    await expect(answers(page)).to_contain_text("Red is warm.")

    model.words = ["Blue ", "is cold."]
    await page.get_by_role("button", name="Edit the question").click()
    await page.get_by_role("textbox", name="Your question, edited").fill("What is blue?")
    await page.get_by_role("button", name="Ask again").click()
    await expect(answers(page)).to_contain_text("Blue is cold.")
    await versions(page, "2 / 2").get_by_role("button", name="Previous version").click()
    await expect(answers(page)).to_contain_text("Red is warm.")
    await expect(page.get_by_role("log")).to_contain_text("What is red?")
    await expect(page.get_by_role("log")).not_to_contain_text("blue")
    await versions(page, "1 / 2").get_by_role("button", name="Next version").click()
    await expect(answers(page)).to_contain_text("Blue is cold.")

    model.words = ["Blue ", "is deep."]
    await answers(page).get_by_role("button", name="Answer again").click()
    await expect(answers(page)).to_contain_text("Blue is deep.")
    again = answers(page).get_by_role("group", name="Versions")
    await expect(again).to_contain_text("2 / 2")
    await again.get_by_role("button", name="Previous version").click()
    await expect(answers(page)).to_contain_text("Blue is cold.")
    async with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        await versions(page, "2 / 2").first.get_by_role("button", name="Previous version").click()
    await page.reload()
    await expect(answers(page)).to_contain_text("Red is warm.")

    model.words = ["Run it:\n\n```python\nfor number in range(3):\n    print(number * 14)\n```\n"]
    await ask(page, "Write a program")
    block = answers(page).last.get_by_role("figure")
    await block.get_by_role("button", name="Run").click()
    await expect(output_of(block)).to_contain_text("Output")
    await expect(output_of(block)).to_contain_text("0\n14\n28")

    model.words = ["```python\nprint(open('/etc/passwd').read())\n```\n"]
    await ask(page, "Now read my files")
    await expect(answers(page)).to_have_count(3)
    block = answers(page).last.get_by_role("figure")
    await block.get_by_role("button", name="Run").click()
    await expect(output_of(block)).to_contain_text("It stopped with an error")
    await expect(output_of(block)).to_contain_text("Programs run here without files")
    await expect(output_of(block)).not_to_contain_text("root:")
    await expect(output_of(block)).not_to_contain_text("/src/")
    await page.screenshot(path=tmp_path / "code.png")


WIDE = [
    "| " + " | ".join(f"a column with the number {n}" for n in range(8)) + " |\n" + "|---" * 8 + "|\n" + "| cell " * 8,
    "|\n\n```python\nwide = '" + "x" * 200 + "'\n```\n\n" + "averylongword" * 20,
]


async def test_a_phone_is_wide_enough_and_a_keyboard_does(phone: Page, model: Scripted, tmp_path: Path) -> None:
    async def fits() -> None:
        assert await phone.evaluate("document.documentElement.scrollWidth") <= 390, phone.url

    await fits()
    model.words = WIDE
    await question_of(phone).focus()
    await phone.keyboard.type("W" * 90)
    await phone.keyboard.press("Control+Enter")
    await expect(answers(phone)).to_contain_text("averylongword")
    await expect(phone.get_by_role("button", name="Send")).to_be_visible()
    await fits()
    await phone.screenshot(path=tmp_path / "wide.png")

    model.unheld, model.words = 1, ["It begins ", "and goes on."]
    model.goes_on.clear()
    await question_of(phone).focus()
    await phone.keyboard.type("Stop this with a key")
    await phone.keyboard.press("Control+Enter")
    await expect(answers(phone).last).to_contain_text("It begins")
    await phone.keyboard.press("Escape")
    await expect(answers(phone).last).to_contain_text("You stopped it here.")
    model.goes_on.set()

    await phone.get_by_role("button", name="Edit the question").last.focus()
    await phone.keyboard.press("Enter")
    await expect(phone.get_by_role("textbox", name="Your question, edited")).to_be_focused()
    await fits()
    await phone.keyboard.type(" and see it whole")
    await phone.keyboard.press("Control+Enter")
    await expect(answers(phone).last).to_contain_text("and goes on.")

    chats = phone.get_by_role("button", name="Your chats")
    await chats.focus()
    await phone.keyboard.press("Enter")
    drawer = phone.get_by_role("dialog", name="Your chats")
    await expect(drawer.get_by_role("link", name="New chat")).to_be_visible()
    await fits()
    await phone.screenshot(path=tmp_path / "drawer.png")
    await phone.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await expect(chats).to_be_focused()
    await chats.press("Enter")
    await drawer.get_by_role("link", name="New chat").press("Enter")
    await expect(phone.get_by_role("heading", name="What can I help with")).to_be_visible()
    await expect(drawer).to_be_hidden()
    await fits()
    await phone.screenshot(path=tmp_path / "begin.png")
