"""The colours of the sheet, in both schemes: text is read at WCAG AA's 4.5 to 1 wherever it stands."""

from __future__ import annotations

import re

import pytest

from pipeline.web.render import STATIC

SHEET = (STATIC / "triage.css").read_text(encoding="utf-8")
PAIRS = [
    (front, back)
    for front, backs in {
        "text": ("page", "card", "soft", "mark", "mark-claim", "ins", "del"),
        "muted": ("page", "card", "soft"),
        "accent": ("page", "card", "soft"),
        "on-accent": ("accent",),
        "bad": ("card", "soft", "page", "bad-soft"),
        "warn": ("card", "soft", "page", "warn-soft"),
        "good": ("card", "good-soft"),
        "strong": ("strong-soft",),
    }.items()
    for back in backs
]


def schemes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", block))
        for name, block in (("light", light), ("dark", dark))
    }


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_colours_reads_well(scheme: str) -> None:
    colours = schemes()[scheme]
    poor = {}
    for front, back in PAIRS:
        high, low = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        ratio = (high + 0.05) / (low + 0.05)
        if ratio < 4.5:
            poor[front, back] = round(ratio, 2)
    assert poor == {}


def test_colours_come_only_from_the_names() -> None:
    rules = SHEET[SHEET.index("/* controls */") :]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)", rules) == []
