"""Debian's Chromium for the tests of pages, and a watch over what a page does that it must not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kit.places import missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window; where there is none, the test is skipped loudly."""
    if not CHROMIUM.exists():
        missing("Chromium", "apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


class Watch:
    """What a page did that it must not: script errors, refused scripts, dialogs, requests to elsewhere."""

    def __init__(self, page: Page, own: str) -> None:
        self.seen: list[str] = []
        page.on("pageerror", lambda error: self.seen.append(f"error {error}"))
        page.on("console", lambda m: self.seen.append(f"console {m.text}") if m.type == "error" else None)
        page.on("dialog", lambda d: (self.seen.append(f"dialog {d.message}"), d.dismiss())[0])
        page.on(
            "request",
            lambda r: None if r.url.startswith((own, "data:")) else self.seen.append(f"fetched {r.url}"),
        )
