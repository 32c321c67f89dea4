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


def paper(title: str, said: str) -> bytes:
    return pdf([[(20.0, title), (11.0, said)]])


async def test_a_collection_is_filled_put_in_order_and_deleted(page: Page, tmp_path: Path) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    birds = tmp_path / "birds"
    birds.mkdir()
    (birds / "owls.pdf").write_bytes(paper("Tawny owl", "The tawny owl weighs about 450 grams."))
    (birds / "ducks.md").write_text("# Mallard\n\nThe mallard duck weighs about 1100 grams and nests in the reeds.\n")
    (birds / "cover.png").write_bytes(b"\x89PNG")
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and no more")
    good = tmp_path / "kites.pdf"
    good.write_bytes(paper("Red kite", "The red kite weighs about 1000 grams and soars over the hills."))

    await page.get_by_role("button", name="New collection").click()
    await page.get_by_label("Name").fill("Bird")
    await page.get_by_role("button", name="Create").click()

    # Two files of which one is broken: the queue says so above every tab, and the other is ready all the same.
    uploads = page.get_by_role("region", name="Uploads")
    files = uploads.get_by_role("listitem")
    await page.get_by_label("Tags for what you add").fill("raptors, 2024")
    await page.get_by_label("Files").set_input_files([good, broken])
    await expect(files.filter(has_text="broken.pdf")).to_contain_text("can't be read", timeout=30_000)
    await page.get_by_role("link", name="Quality", exact=True).click()
    await expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    await expect(files.filter(has_text="kites.pdf")).to_contain_text("Ready", timeout=30_000)
    await expect(uploads.get_by_role("status")).to_contain_text("1 ready · 1 failed")

    # It is read again, which doesn't help; so it is dismissed here, and deleted there.
    await files.filter(has_text="broken.pdf").get_by_role("button", name="Try broken.pdf again").click()
    await expect(files.filter(has_text="broken.pdf")).to_contain_text("can't be read", timeout=30_000)
    await page.get_by_role("button", name="Clear finished").click()
    await expect(uploads).to_be_hidden()
    await page.get_by_role("link", name="Documents", exact=True).click()
    documents = page.get_by_role("list", name="Documents").get_by_role("listitem")
    more = page.get_by_role("button", name="More about broken.pdf")
    await more.click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    await expect(more).to_be_focused()  # after a dialog the focus is where it was
    await more.click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    await expect(documents).to_have_count(1)

    # A folder: what is no document stays out. Other bytes under the same name are another version.
    await page.get_by_label("Tags for what you add").fill("water")
    await page.get_by_label("Folder").set_input_files(birds)
    await expect(page.get_by_text("1 file is no document and stays out.")).to_be_visible()
    await expect(documents).to_have_count(3)
    await expect(documents.get_by_text("Ready")).to_have_count(3, timeout=30_000)
    good.write_bytes(paper("Red kite", "The red kite weighs about 1050 grams and soars over the hills."))
    await page.get_by_label("Tags for what you add").fill("")
    await page.get_by_label("Files").set_input_files([good])
    kites = documents.filter(has_text="kites.pdf")
    await expect(kites).to_contain_text("version 2", timeout=30_000)
    await kites.get_by_role("button", name="More about Red kite").click()
    await page.get_by_role("menuitem", name="Versions").click()
    async with page.context.expect_page() as opened:
        await page.get_by_role("button", name="Open version 1").click()
    await (await opened.value).close()
    await page.keyboard.press("Escape")

    # Tags narrow the list, and what a question is put to.
    await page.get_by_role("group", name="Tagged").get_by_role("button", name="raptors", exact=True).click()
    await expect(documents).to_have_count(1)
    await page.get_by_role("button", name="No filter").click()
    await expect(documents).to_have_count(3)
    await page.get_by_role("link", name="Ask", exact=True).click()
    only = page.get_by_role("group", name="Only documents tagged")
    await only.get_by_role("button", name="water", exact=True).click()
    question = page.get_by_role("textbox", name="Question")
    await question.fill("How many grams does the red kite weigh?")
    await question.press("Enter")
    answer = page.get_by_role("article").filter(has_text="red kite weigh?")
    sources = answer.get_by_role("region", name="Sources")
    await expect(sources.get_by_role("link").first).to_be_visible(timeout=30_000)
    await expect(answer.get_by_role("button", name="Not helpful")).to_be_visible(timeout=30_000)
    await expect(sources).not_to_contain_text("Red kite")
    # The conversation is still there when the tabs were switched.
    await page.get_by_role("link", name="Documents", exact=True).click()
    await page.get_by_role("link", name="Ask", exact=True).click()
    await expect(answer).to_be_visible()

    # An experiment begins and ends; too few questions prove nothing.
    await page.get_by_role("link", name="Quality", exact=True).click()
    await page.get_by_role("button", name="Begin an experiment").click()
    await page.get_by_role("dialog").get_by_label("Name").first.fill("passages")
    await page.get_by_role("dialog").get_by_role("button", name="Begin").click()
    await expect(page.get_by_text("No variant can be said to be better yet.")).to_be_visible()
    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="End it").click()
    await expect(page.get_by_text("No variant can be said to be better.")).to_be_visible()

    # Another name, which is there after a reload; then it goes, and the dialog says what goes with it.
    await page.get_by_role("button", name="More about Bird", exact=True).click()
    await page.get_by_role("menuitem", name="Rename and describe").click()
    await page.get_by_label("Name", exact=True).fill("Birds")
    await page.get_by_label("What is in it").fill("What birds weigh.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Birds", exact=True)).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("What birds weigh.")).to_be_visible()
    await page.get_by_role("button", name="More about Birds", exact=True).click()
    await page.get_by_role("menuitem", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("3 documents")
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_text("No collection yet")).to_be_visible()
    assert errors == []
