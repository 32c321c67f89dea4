"""Answers in a real browser, against the real command: a PDF goes in, a question out comes with its source."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from tests.journeys.conftest import PERSON, House
from tests.systems.answers.test_extraction import pdf

from tenfold.platform.testing import models_of_tests

pytestmark = [pytest.mark.browser, pytest.mark.journey]


@pytest.fixture
async def page(house: House, browser: Browser) -> AsyncIterator[Page]:
    models = models_of_tests()
    if not models.present("minilm"):
        await models.pull("minilm")
    house.environment |= {
        "TENFOLD_MODELS": str(models.directory),
        "TENFOLD_ONLY": "answers",
        "TENFOLD_ANSWERS_ANSWERER": "quoted",
        "TENFOLD_TIERS": '{"fast": {"endpoints": []}}',
    }
    house.empty()
    await house.up()
    context = await browser.new_context(base_url=f"http://localhost:{house.port}", user_agent=PERSON)
    page = await context.new_page()
    await page.goto("/signup?next=/answers/")
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password").first.fill("correct horse battery")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", name="Collections")).to_be_visible()
    yield page
    await context.close()


async def test_a_pdf_is_sent_asked_and_opened_where_it_says_so(page: Page, tmp_path: Path) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    owls = tmp_path / "owls.pdf"
    owls.write_bytes(
        pdf([
            [(20.0, "Tawny owl"), (11.0, "The tawny owl weighs about 450 grams and hunts mice at night.")],
            [(20.0, "Barn owl"), (11.0, "The barn owl nests in church towers and in hollow trees.")],
        ])
    )  # fmt: skip
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and no more")

    await page.get_by_role("button", name="New collection").click()
    await page.get_by_label("Name").fill("Birds")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_text("No documents yet")).to_be_visible()
    await page.get_by_label("Files").set_input_files([owls, broken])
    documents = page.get_by_role("list", name="Documents").get_by_role("listitem")
    await expect(documents.filter(has_text="owls.pdf").get_by_text("Ready")).to_be_visible(timeout=30_000)
    # A broken one fails alone, and says why.
    await expect(documents.filter(has_text="broken.pdf")).to_contain_text("can't be read", timeout=30_000)

    await page.get_by_role("link", name="Ask", exact=True).click()
    question = page.get_by_role("textbox", name="Question")
    await question.fill("Where does the barn owl nest?")
    await question.press("Enter")
    answer = page.get_by_role("article").filter(has_text="Where does the barn owl nest?")
    await expect(answer).to_contain_text("church towers", timeout=30_000)
    await answer.get_by_role("button", name=re.compile(r"Source \d")).first.focus()
    await expect(answer.locator(".passage.lit")).to_contain_text("Barn owl")
    await answer.get_by_role("button", name="Helpful", exact=True).click()

    await question.fill("Who won the football world cup in 1954?")
    await question.press("Enter")
    await expect(page.get_by_text("I don't know.")).to_be_visible(timeout=30_000)

    # The conversation is there after a reload, and a source leads to the page that says so.
    await page.reload()
    await expect(answer.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    await answer.get_by_role("region", name="Sources").get_by_role("link").first.click()
    await expect(page.locator("mark")).to_contain_text("church towers")
    await expect(page.get_by_text("Page 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(answer).to_be_visible()

    await page.set_viewport_size({"width": 360, "height": 740})
    for part in ("Ask", "Documents", "Quality"):
        await page.get_by_role("link", name=part, exact=True).click()
        await expect(page.get_by_role("link", name=part, exact=True)).to_have_attribute("aria-current", "page")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await expect(page.get_by_role("heading", name="In use, last 30 days")).to_be_visible()
    assert errors == []
