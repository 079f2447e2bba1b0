"""axe-core over a page in a browser: what hinders a reader, in light and dark, on a phone and on a desk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from axe_playwright_python.base import AXE_SCRIPT

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS = (360, 1440)
EVERY: dict[str, object] = {}
COLOURS: dict[str, object] = {"runOnly": ["color-contrast"]}
"""All that another colour scheme can change."""

GRAVE = """async (options) => {
    const found = await axe.run({ resultTypes: ['violations'], elementRef: false, ...options })
    return found.violations
        .filter(rule => ['serious', 'critical'].includes(rule.impact))
        .flatMap(rule => rule.nodes.map(node =>
            `${rule.id} (${rule.impact}) at ${node.target.join(' ')}: ${node.html.slice(0, 160)} `
            + node.any.map(check => check.message).join('; ')))
}"""


def findings(page: Page) -> list[str]:
    """The serious and critical findings on the page as it stands, one line for each element."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE_SCRIPT)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, options in (("light", EVERY), ("dark", COLOURS)):
            # with motion, a colour would be measured half way to the other scheme's
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            found += [f"{width} {scheme}: {line}" for line in page.evaluate(GRAVE, options)]
    return found
