"""Letting an app in, in a real browser against the real command: from the app's address to its token."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from mastodon import Mastodon
from playwright.async_api import Page, async_playwright, expect
from tests.journeys.conftest import House

pytestmark = [pytest.mark.browser, pytest.mark.journey]

PASSWORD = "correct horse battery"


@pytest.fixture
def callback() -> Iterator[str]:
    """The address of an app that greets who comes back to it."""

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>App</title><h1>You are back</h1>")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), App)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/callback"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def page(house: House) -> AsyncIterator[Page]:
    """A page of a person's browser, on a house that has an account for them."""
    house.empty()
    await house.up()
    status, said = await house.run("account", "create", "--name", "alice", "--password", PASSWORD)
    assert status == 0, said
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "the browser tests need Chromium"
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
        browser = await playwright.chromium.launch(executable_path=found, args=flags)
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        await browser.close()
        assert errors == []


async def registered(house: House, redirect_uri: str) -> dict[str, Any]:
    form = {"client_name": "An App", "redirect_uris": redirect_uri, "scopes": "read write"}
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.post("/feed/api/v1/apps", data=form | {"website": "https://app.example/"})
        app: dict[str, Any] = answer.json()
        return app


def asking(app: dict[str, Any], redirect_uri: str, **more: str) -> str:
    wanted = {"response_type": "code", "client_id": app["client_id"], "redirect_uri": redirect_uri, "state": "a&b"}
    return "/oauth/authorize?" + urlencode(wanted | {"scope": "read write:media"} | more)


async def sign_in(page: Page) -> None:
    await page.get_by_label("Name").fill("alice")
    await page.get_by_label("Password").first.fill(PASSWORD)
    await page.locator("form").get_by_role("button", name="Sign in").click()


async def test_a_stranger_signs_in_is_asked_and_goes_back(house: House, page: Page, callback: str) -> None:
    app = await registered(house, callback)
    await page.goto(f"{house.url}/feed{asking(app, callback)}")
    await sign_in(page)
    await expect(page.get_by_role("heading", name="An App asks for your account")).to_be_visible()
    await expect(page.get_by_text("Read everything in your account")).to_be_visible()
    await expect(page.get_by_text("Upload media for you")).to_be_visible()
    await expect(page.get_by_role("link", name="https://app.example/")).to_be_visible()
    await expect(page.get_by_text(callback.split("/")[2])).to_be_visible()
    await page.get_by_role("button", name="Allow", exact=True).click()
    await expect(page.get_by_role("heading", name="You are back")).to_be_visible()
    told = httpx.URL(page.url).params
    assert (told["state"], told["iss"]) == ("a&b", f"{house.url}/feed")
    form = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": callback}
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.post("/feed/oauth/token", data=form, auth=(app["client_id"], app["client_secret"]))
    assert answer.json()["scope"] == "read write:media"

    await page.goto(f"{house.url}/account")
    apps = page.get_by_role("list", name="Apps")
    await expect(apps).to_contain_text("An App")
    await apps.get_by_role("button", name="Revoke An App").click()
    await expect(apps).to_have_count(0)


async def test_a_code_is_shown_and_given_to_a_program(house: House, page: Page) -> None:
    """Mastodon.py as its users use it, with a person who copies the code."""
    scopes = ["read", "write:statuses"]
    feed = f"{house.url}/feed"
    client_id, secret = await asyncio.to_thread(Mastodon.create_app, "Toots", scopes=scopes, api_base_url=feed)
    client = Mastodon(client_id=client_id, client_secret=secret, api_base_url=feed)
    await page.goto(await asyncio.to_thread(client.auth_request_url, scopes=scopes, allow_http=True))
    await sign_in(page)
    await expect(page.get_by_text("You will be shown a code to copy.")).to_be_visible()
    await page.get_by_role("button", name="Allow", exact=True).click()
    code = await page.get_by_role("status").get_by_text("tc_").inner_text()
    await asyncio.to_thread(client.log_in, code=code, scopes=scopes, allow_http=True)
    application = await asyncio.to_thread(client.app_verify_credentials)
    assert application.name == "Toots"


async def test_no_is_an_answer_and_what_cant_be_asked_is_said(house: House, page: Page, callback: str) -> None:
    app = await registered(house, callback)
    await page.goto(house.url + asking(app, callback))
    await sign_in(page)
    await page.get_by_role("button", name="Don").click()
    await expect(page.get_by_role("heading", name="You are back")).to_be_visible()
    assert httpx.URL(page.url).params["error"] == "access_denied"

    await page.goto(house.url + asking(app, callback, scope="read push"))
    await expect(page.get_by_role("alert")).to_contain_text("push")
    await page.get_by_role("link", name="Go back to An App").click()
    await expect(page.get_by_role("heading", name="You are back")).to_be_visible()
    assert httpx.URL(page.url).params["error"] == "invalid_scope"

    await page.goto(house.url + asking(app, "https://evil.example/"))
    await expect(page.get_by_role("alert")).to_contain_text("redirect_uri")
    await expect(page.get_by_role("button", name="Allow", exact=True)).to_have_count(0)
