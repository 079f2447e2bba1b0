"""Takes card numbers, secrets and, by setting, contact details out of a text before a provider or a log sees it.

    redactor = Redactor(("cards", "secrets", "emails"), region="DE")
    (shown,), marks = redactor.redact(["My card 4242 4242 4242 4242, mail jo@mail.example"])
    shown                                        # "My card [card 1], mail [email 1]"
    marks.restore("We wrote to [email 1].")      # "We wrote to jo@mail.example."

A mark that a model repeats is put back: addresses, phone numbers, IBANs and names as they stood, a card
number masked to its last four digits, a secret not at all. What can be found is what has a shape or a cue;
where that ends stands in `sensitive.py` and `personal.py`.
"""

from __future__ import annotations

import json as jsonlib
import re
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.models.personal import emails, ibans, named, names, phones
from pipeline.models.sensitive import Found, cards, digits, secrets, suspicious

ALWAYS = ("cards", "secrets")
WORDS = {
    "cards": "card",
    "secrets": "secret",
    "ibans": "iban",
    "emails": "email",
    "phones": "phone",
    "names": "name",
}
"""What a mark of each kind is called; in the order in which two finds at one place are decided."""

_MARK = re.compile(
    rf"(?:\[|\\u005[bB])\s*({'|'.join(WORDS.values())})\s+(\d{{1,5}})\s*(?:\]|\\u005[dD])", re.I
)
_KEPT_DIGITS = 4
REMOVED = "••••••"


@dataclass(frozen=True)
class Marks:
    """What stands for what in one call. Knows the values themselves, so it is never shown or stored."""

    back: dict[str, str] = field(default_factory=dict, repr=False)
    """Mark → what it comes back as."""
    literals: dict[str, str] = field(default_factory=dict, repr=False)
    """Every spelling that was found → its mark."""

    def __bool__(self) -> bool:
        return bool(self.back)

    @property
    def masked(self) -> tuple[str, ...]:
        """What comes back otherwise than it stood in the text: masked cards and removed secrets."""
        return tuple(value for mark, value in self.back.items() if mark.startswith(("[card ", "[secret ")))

    def restore(self, text: str, *, json: bool = False) -> str:
        """`text` with the marks put back; with `json` it is JSON text, and the values are escaped for it.

        A mark that was not given out stays as it is.
        """
        if not self.back or ("[" not in text and "\\u005" not in text.lower()):
            return text

        def value(match: re.Match[str]) -> str:
            found = self.back.get(f"[{match[1].lower()} {int(match[2])}]")
            if found is None:
                return match[0]
            return jsonlib.dumps(found, ensure_ascii=False)[1:-1] if json else found

        return _MARK.sub(value, text)

    def hide(self, text: str) -> str:
        """`text` with every value of this call hidden again: for what quotes a restored answer."""
        if self.literals:
            longest = sorted(self.literals, key=len, reverse=True)
            pattern = re.compile("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in longest), re.I)
            folded = {value.casefold(): mark for value, mark in self.literals.items()}
            text = pattern.sub(lambda match: folded.get(match[0].casefold(), REMOVED), text)
        return scrub(text)


class Redactor:
    """Finds what must not leave. Holds nothing of any text: threads share one.

    `kinds` as in `[data] redact` of routes.toml; cards and secrets always are among them. `region`
    (ISO 3166) is how phone numbers without a country code are read.
    """

    def __init__(self, kinds: Collection[str] = ALWAYS, region: str | None = None) -> None:
        self.kinds = frozenset((*ALWAYS, *kinds))
        self.region = region

    def redact(self, texts: Sequence[str], known_names: Collection[str] = ()) -> tuple[list[str], Marks]:
        """The texts with marks in the place of what was found, and what the marks stand for.

        Marks are numbered in the order of the texts, the same value has the same mark in all of them, and
        no mark is given out that stands in a text already. `known_names` are looked for as they are.
        """
        wanted = self._names(texts, known_names) if "names" in self.kinds else []
        taken = {f"[{m[1].lower()} {int(m[2])}]" for text in texts for m in _MARK.finditer(text)}
        given: dict[tuple[str, str], str] = {}
        back: dict[str, str] = {}
        literals: dict[str, str] = {}
        counts = dict.fromkeys(WORDS, 0)

        def mark(found: Found) -> str:
            key = (found.kind, _same(found))
            if key not in given:
                counts[found.kind] += 1
                while (new := f"[{WORDS[found.kind]} {counts[found.kind]}]") in taken:
                    counts[found.kind] += 1
                given[key] = new
                back[new] = _comes_back(found)
            literals[found.value] = given[key]
            return given[key]

        shown = [_replaced(text, self._find(text, wanted), mark) for text in texts]
        return shown, Marks(back, literals)

    def find(self, text: str, known_names: Collection[str] = ()) -> list[Found]:
        """What would be taken out of this text, in its order; no two overlap."""
        return self._find(text, self._names([text], known_names) if "names" in self.kinds else [])

    def _find(self, text: str, wanted_names: Sequence[str]) -> list[Found]:
        found: list[Found] = []
        if suspicious(text):
            found += cards(text)
            found += secrets(text)
        if "ibans" in self.kinds:
            found += ibans(text)
        if "emails" in self.kinds:
            found += emails(text)
        if "phones" in self.kinds:
            found += phones(text, self.region)
        if wanted_names:
            found += names(text, wanted_names)
        return _apart(found)

    def _names(self, texts: Sequence[str], known: Collection[str]) -> list[str]:
        return list(dict.fromkeys([*known, *(name for text in texts for name in named(text))]))


_REACH = 5_000
"""How far round a cut is looked: longer than any card number, and than most keys."""


def whole_until(text: str, at: int) -> int:
    """Where to end a text that is cut at `at`: there, or before the card number or secret that stands across
    it. Half of one would be found by nobody."""
    return _across(text, at, lambda found: found.start)


def whole_from(text: str, at: int) -> int:
    """Where to begin a text whose start is cut off at `at`: there, or behind what stands across it."""
    return _across(text, at, lambda found: found.end)


def _across(text: str, at: int, side: Callable[[Found], int]) -> int:
    if not 0 < at < len(text):
        return at
    start = max(0, at - _REACH)
    near = text[start : at + _REACH]
    for found in _apart([*cards(near), *secrets(near)]) if suspicious(near) else ():
        if start + found.start < at < start + found.end:
            return start + side(found)
    return at


def scrub(text: str) -> str:
    """`text` without card numbers and secrets, for good: what a log may hold. Quick where there are none."""
    if not suspicious(text):
        return text
    found = _apart([*cards(text), *secrets(text)])
    return _replaced(text, found, lambda one: f"[{WORDS[one.kind]}]")


def _apart(found: Iterable[Found]) -> list[Found]:
    """Of finds that overlap, the one of the kind that stands first in `WORDS`, then the longer one."""
    order = list(WORDS)
    kept: list[Found] = []
    for one in sorted(found, key=lambda f: (order.index(f.kind), f.start - f.end, f.start)):
        place = bisect(kept, one.start, key=lambda other: other.start)
        before_ends = kept[place - 1].end if place else 0
        after_starts = kept[place].start if place < len(kept) else one.end
        if before_ends <= one.start and one.end <= after_starts:
            kept.insert(place, one)
    return kept


def _replaced(text: str, found: Sequence[Found], by: Callable[[Found], str]) -> str:
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], by(one)]
        at = one.end
    return "".join([*parts, text[at:]])


def _same(found: Found) -> str:
    """Two spellings of one value are one value."""
    if found.kind in ("cards", "ibans", "phones"):
        return re.sub(r"[^\w]", "", found.value).upper()
    return found.value if found.kind == "secrets" else found.value.casefold()


def _comes_back(found: Found) -> str:
    if found.kind == "cards":
        return f"•••• {digits(found.value)[-_KEPT_DIGITS:]}"
    return REMOVED if found.kind == "secrets" else found.value
