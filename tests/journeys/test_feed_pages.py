"""The feed in a real browser, against the real command: two people, each in a window of their own."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect
from tests.journeys.conftest import PERSON, House

pytestmark = [pytest.mark.browser, pytest.mark.journey]


@pytest.fixture
async def feed(house: House) -> str:
    house.empty()
    await house.up()
    return f"http://localhost:{house.port}"


@pytest.fixture
async def windows(browser: Browser, feed: str) -> AsyncIterator[tuple[Page, Page]]:
    """Ada's and Grace's."""
    pages, contexts = [], []
    for name in ("ada", "grace"):
        context = await browser.new_context(base_url=feed, user_agent=PERSON)
        contexts.append(context)
        page = await context.new_page()
        await page.goto("/signup")
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Password").first.fill("correct horse battery")
        await page.get_by_role("button", name="Sign up").click()
        await expect(
            page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first
        ).to_be_visible()
        await page.goto("/feed/")
        await expect(page.get_by_role("textbox", name="Your post")).to_be_visible()
        pages.append(page)
    yield pages[0], pages[1]
    for context in contexts:
        await context.close()


async def write(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Your post").fill(text)
    await page.get_by_role("button", name="Post", exact=True).click()


async def test_a_post_arrives_is_liked_and_that_is_told(windows: tuple[Page, Page]) -> None:
    """Follow, post, seen without reload, like, notification: nobody reloads anything."""
    ada, grace = windows
    errors: list[str] = []
    for page in windows:
        page.on("pageerror", lambda error: errors.append(str(error)))
    await grace.goto("/feed/@ada")
    await grace.get_by_role("button", name="Follow ada").click()
    await expect(grace.get_by_role("button", name="Follow ada")).to_contain_text("Following")
    await grace.goto("/feed/")
    await expect(grace.get_by_role("textbox", name="Your post")).to_be_visible()

    await write(ada, "Hello from the other window #first")
    await expect(ada.get_by_role("feed").get_by_text("Hello from the other window")).to_be_visible()
    arrived = grace.get_by_role("feed").get_by_role("article").filter(has_text="Hello from the other window")
    news = grace.get_by_role("button", name=re.compile(r"\d+ new post"))
    await expect(arrived.or_(news).first).to_be_visible(timeout=15_000)
    if await news.is_visible():
        await news.click()
    await expect(arrived).to_be_visible()

    await arrived.get_by_role("button", name="Like").click()
    await expect(arrived.get_by_role("button", name="Like")).to_have_attribute("aria-pressed", "true")
    await ada.get_by_role("link", name="Notifications").first.click()
    told = ada.get_by_role("feed", name="Notifications").get_by_role("article").filter(has_text="grace")
    await expect(told.first).to_be_visible(timeout=15_000)
    await expect(ada.get_by_role("feed", name="Notifications")).to_contain_text("Hello from the other window")
    assert errors == []


async def test_on_a_phone_nothing_is_wider_than_it(windows: tuple[Page, Page]) -> None:
    ada, _ = windows
    await ada.set_viewport_size({"width": 390, "height": 844})
    await write(ada, "A_rather_long_word_" * 12)
    for path in ("/feed/", "/feed/@ada", "/feed/explore", "/feed/notifications", "/feed/search?q=word"):
        await ada.goto(path)
        await expect(ada.get_by_role("main")).to_be_visible()
        assert await ada.evaluate("document.documentElement.scrollWidth") <= 390, path
