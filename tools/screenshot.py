"""Makes the README's pictures of a running house with its demo content: `tools/screenshot.py URL NAME PASSWORD`."""

import asyncio
import shutil
import sys
from pathlib import Path

from playwright.async_api import async_playwright

DOCS = Path(__file__).resolve().parents[1] / "docs"
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


async def main(url: str, name: str, password: str) -> None:
    """Sign in, follow a link a few times and picture what its owner sees; then a home timeline."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        context = await browser.new_context(
            base_url=url, user_agent=PERSON, viewport={"width": 1280, "height": 860}, color_scheme="light"
        )
        page = await context.new_page()
        await page.goto("/signin")
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Password").first.fill(password)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Sign out").wait_for()
        await page.goto("/links/app/talk-2026")
        await page.get_by_role("button", name="30 days").or_(page.get_by_text("30 days")).first.click()
        await page.get_by_text("Live", exact=True).wait_for()
        for _ in range(5):
            await context.request.get("/links/talk-2026", max_redirects=0)
        await page.get_by_role("list", name="Live clicks").get_by_role("listitem").nth(4).wait_for()
        await page.wait_for_timeout(1000)  # the chart's own movement
        await page.screenshot(path=DOCS / "links.png")
        await page.goto("/feed/")
        await page.get_by_role("feed").get_by_role("article").nth(4).wait_for()
        await page.wait_for_timeout(1000)  # pictures
        await page.screenshot(path=DOCS / "feed.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
