"""The pages in a real browser, against the real command: what a person does on their first visit."""

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from tests.journeys.conftest import PERSON, House

pytestmark = [pytest.mark.browser, pytest.mark.journey]


@pytest.fixture
async def person(browser: Browser, house: House) -> AsyncIterator[BrowserContext]:
    """A browser window of a person, on a running house."""
    house.empty()
    await house.up()
    permissions = ["clipboard-read", "clipboard-write"]
    context = await browser.new_context(
        base_url=f"http://localhost:{house.port}", user_agent=PERSON, permissions=permissions
    )
    yield context
    await context.close()


@pytest.fixture
def somewhere() -> Iterator[str]:
    """The address of a page elsewhere that links can lead to."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>Elsewhere</title><h1>You have arrived</h1>")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a/rather/long/address?with=a&query=too"
    server.shutdown()
    server.server_close()
    thread.join()


def errors_of(page: Page) -> list[str]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


async def test_create_copy_follow_and_see_the_click_arrive(person: BrowserContext, somewhere: str) -> None:
    page = await person.new_page()
    errors = errors_of(page)
    await page.goto("/")
    await page.get_by_role("link", name="Sign up").first.click()
    await page.get_by_label("Name").fill("ada")
    await page.get_by_label("Password").first.fill("correct horse battery")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("button", name="ada").or_(page.get_by_role("link", name="ada")).first).to_be_visible()

    await page.goto("/links/")
    form = page.get_by_role("form", name="New link")
    await form.get_by_role("textbox").first.fill(somewhere)
    await form.get_by_role("button", name="Shorten").click()
    made = page.get_by_role("region", name="Your short link")
    await made.get_by_role("button", name="Copy").click()
    short = await page.evaluate("navigator.clipboard.readText()")
    assert short.startswith(f"{page.url.rpartition('/')[0]}/")

    await page.goto(f"/links/app/{short.rpartition('/')[2]}")
    totals = page.get_by_label("Totals of the last")
    await expect(totals).to_be_visible()
    follower = await person.new_page()
    await follower.goto(short)
    await expect(follower.get_by_role("heading", name="You have arrived")).to_be_visible()
    assert follower.url == somewhere
    # Nothing is reloaded: the click comes by itself, into the feed, the number and the chart.
    feed = page.get_by_role("list", name="Live clicks")
    await expect(feed.get_by_role("listitem")).to_have_count(1, timeout=15_000)
    await expect(feed).to_contain_text("Chrome")
    await expect(totals).to_contain_text("1")
    await page.reload()
    await expect(page.get_by_label("Totals of the last")).to_contain_text("1")
    assert errors == []


async def test_a_stranger_with_a_keyboard_on_a_phone(person: BrowserContext, somewhere: str) -> None:
    page = await person.new_page()
    errors = errors_of(page)
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto("/links/")
    await page.keyboard.press("n")
    await page.keyboard.type("not an address")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").first).to_be_visible()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type(somewhere)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Your short link")).to_be_visible()
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "something is wider than the phone"
    assert errors == []
