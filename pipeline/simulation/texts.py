"""The words: customers' mails, models' drafts and agents' edits, out of `texts.toml`. Pure.

An edit is made to be of a wanted class: sentences are exchanged until the share of changed words, counted
here and not by the code that measures it, lies well inside of the class.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "pl")
TOPICS = (
    "order_shipping",
    "bug_report",
    "billing",
    "account_access",
    "how_to",
    "refund",
    "sales",
    "cancellation",
    "complaint",
)
ORDERED = ("order_shipping", "billing", "refund")
"""The topics whose mails name an order, in the subject at least."""

PRODUCTS = ("Slate 10", "Slate Mini", "Folio Pen", "Slate Pro")
BAIT = "See https://larkfield-returns.example/start for all steps."
"""A link that nobody of the team ever named: a draft with it may not be approved as it stands."""

_INSIDE = {"light": (0.09, 0.33), "heavy": (0.44, 0.56), "rewritten": (0.68, 1.0)}
"""The share of changed words that an edit of each class must have, well inside of the usual thresholds."""


@lru_cache(maxsize=1)
def _words() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("texts.toml").read_text(encoding="utf-8"))


def subject(language: str, topic: str, order: str) -> str:
    return str(_words()[language]["topics"][topic]["subject"]).format(order=order)


def mail(
    language: str,
    topic: str,
    *,
    name: str,
    order: str,
    product: str,
    amount: str,
    mood: str,
    variant: int,
    again: bool,
) -> str:
    """What a customer writes. `mood` is calm, angry or vague; `again` is a further message on the ticket."""
    own = _words()[language]
    rng = Random(variant)
    slots = {"order": order, "product": product, "amount": amount}
    if mood == "vague":
        said = [own["vague"]]
    elif again:
        said = [rng.choice(own["again_angry" if mood == "angry" else "again"])]
    else:
        said = [own["topics"][topic]["mail"].format(**slots)]
        said.append(rng.choice(own["details"]).format(**slots))
        if mood == "angry":
            said.append(rng.choice(own["angry"]))
    return f"{rng.choice(own['hello'])}\n\n{' '.join(said)}\n\n{rng.choice(own['bye'])}\n{name}\n"


def draft(language: str, topic: str, *, first: str, order: str, variant: int, bait: bool = False) -> str:
    """What a model drafts; another `variant` says the same with another opening and close."""
    own = _words()[language]
    rng = Random(variant)
    reply = [sentence.format(order=order) for sentence in own["topics"][topic]["reply"]]
    body = [rng.choice(own["opening"]), *reply, *([BAIT] if bait else []), rng.choice(own["close"])]
    return _letter(own["greeting"].format(name=first), body, own["sign_off"])


def own_answer(language: str, *, first: str, variant: int) -> str:
    """What an agent writes without any draft."""
    own = _words()[language]
    said = Random(variant).sample(own["edits"], 4)
    return _letter(own["greeting"].format(name=first), said, own["sign_off"])


def greeted_anew(language: str, text: str) -> str:
    """The draft under another greeting: that is no rewrite of it."""
    _, _, rest = text.partition("\n")
    return f"{_words()[language]['hello'][0]}\n{rest}"


def edited(language: str, text: str, outcome: str, variant: int) -> str:
    """The draft as an agent sends it who means to change it lightly, heavily or to rewrite it."""
    least, most = _INSIDE[outcome]
    greeting, body, sign_off = _parts(text)
    rng = Random(variant)
    body = [sentence for sentence in body if sentence != BAIT]
    instead = rng.sample(_words()[language]["edits"], len(_words()[language]["edits"]))
    order = rng.sample(range(len(body)), len(body))
    before = _tokens(" ".join(_parts(text)[1]))
    shares = []
    for changed in {"light": range(1, 4), "heavy": range(2, 6), "rewritten": range(len(body), 3, -1)}[
        outcome
    ]:
        new = [instead[order.index(n)] if n in order[:changed] else body[n] for n in range(len(body))]
        shares.append(_share(before, _tokens(" ".join(new))))
        if least <= shares[-1] <= most:
            return _letter(greeting, new, sign_off)
    if variant % 1000 < 50:  # other sentences fit
        return edited(language, text, outcome, variant + 1)
    raise ValueError(
        f"no {outcome} edit of a draft in {language}: shares {[round(share, 2) for share in shares]}"
    )


def _letter(greeting: str, body: Sequence[str], sign_off: str) -> str:
    half = (len(body) + 1) // 2
    return f"{greeting}\n\n{' '.join(body[:half])}\n\n{' '.join(body[half:])}\n\n{sign_off}"


def _parts(text: str) -> tuple[str, list[str], str]:
    greeting, *paragraphs, sign_off = text.split("\n\n")
    return greeting, re.split(r"(?<=[.?!])\s+", " ".join(paragraphs)), sign_off


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w[\w./:'’-]*\w|\w|[^\w\s]", text)


def _share(before: Sequence[str], after: Sequence[str]) -> float:
    """Edit distance of two lists of words over the longer one's length, by the book."""
    row = list(range(len(after) + 1))
    for number, one in enumerate(before, 1):
        last, row[0] = row[0], number
        for column, other in enumerate(after, 1):
            last, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, last + (one != other))
    return row[-1] / max(len(before), len(after), 1)
