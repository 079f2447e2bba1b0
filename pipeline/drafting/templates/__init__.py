"""Reply templates: a plain reply per topic and language from the package's own words, with no model.

They state nothing but what the customer's own message gave, promise nothing, and ask at most one question.
The texts stand beside this file, one TOML file per language.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.drafting.known import known_facts, shown_name
from pipeline.routing.manipulation import signs_in

FOLDER = Path(__file__).parent
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt")
FALLBACK_LANGUAGE = "en"
FALLBACK_TOPIC = "other"

NEEDS: dict[str, tuple[str, ...]] = {
    "billing": ("invoice", "order", "amount"),
    "refund": ("order", "invoice"),
    "order_shipping": ("order",),
    "account_access": ("email", "account"),
    "bug_report": ("device",),
    "how_to": ("device",),
    "sales": ("quantity",),
    "feature_request": (),
    "cancellation": ("order", "account", "invoice", "email"),
    "complaint": ("order", "invoice", "account", "date"),
    "other": ("details", "order", "invoice"),
}
"""Per topic, the facts of which any one spares the customer our question; none: there is nothing to ask."""

SHOWN = ("order", "invoice", "account", "amount", "date")
"""What a reply names as found. E-mail addresses and phone numbers are never repeated: whoever wrote the
mail chose them."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Greeting(_Closed):
    named: str
    plain: str


class _Opening(_Closed):
    calm: str
    worried: str
    frustrated: str
    angry: str


class _Facts(_Closed):
    order: tuple[str, str]
    invoice: tuple[str, str]
    account: tuple[str, str]
    amount: tuple[str, str]
    date: tuple[str, str]


class _Topic(_Closed):
    about: str
    question: str | None = None
    next: str
    note: str | None = None


class Words(_Closed):
    """One language's file. Lists of two are singular and plural.

    `next` is said where nothing is asked, `note` always.
    """

    language: str
    sender: str
    sign_off: str
    and_: str
    noted: str
    after_question: str
    greeting: _Greeting
    opening: _Opening
    facts: _Facts
    topics: dict[str, _Topic]
    digest: str


@dataclass(frozen=True)
class TemplateReply:
    """A filled template. `digest` (12 hex digits) is the version of the language's file."""

    text: str
    language: str
    topic: str
    asks: tuple[str, ...]
    found: tuple[str, ...]
    digest: str


def reply(
    topic: str,
    language: str,
    fields: Mapping[str, Any],
    customer_name: str | None = None,
    emotion: str = "calm",
    sender_name: str = "",
    *,
    text: str = "",
) -> TemplateReply:
    """The reply for a topic, in the customer's language where there is a template for it, else in English.

    `fields` as a triage stores them; `text` is what the customer wrote, so that we do not ask for what
    stands there. A topic that is not known is answered as "other". A text that speaks to a machine has
    none of its sums, dates or ordered words repeated: our noting them would look like consent.
    """
    words = load(supported(language))
    topic = topic if topic in words.topics else FALLBACK_TOPIC
    part = words.topics[topic]
    known = known_facts(fields, text)
    if signs := signs_in(text):
        ordered = " ".join(sign.sentence for sign in signs)
        known = {
            kind: kept
            for kind, values in known.items()
            if kind not in ("amount", "date")
            and (kept := tuple(value for value in values if value.lower() not in ordered))
        }
    name = shown_name(customer_name)
    found = tuple(_named(words, kind, known[kind]) for kind in SHOWN if kind in known)
    asks = (part.question,) if part.question and not any(need in known for need in NEEDS[topic]) else ()

    body = [f"{getattr(words.opening, emotion, words.opening.calm)} {part.about}"]
    if found:
        body.append(_end(words.noted.replace("{facts}", ", ".join(found))))
    body.append(f"{asks[0]} {words.after_question}" if asks else part.next)
    if part.note:
        body.append(part.note)
    greeting = words.greeting.named.replace("{name}", name) if name else words.greeting.plain
    sign_off = words.sign_off.replace("{sender}", " ".join(sender_name.split()) or words.sender)
    return TemplateReply(
        text="\n\n".join([greeting, *body, sign_off]),
        language=words.language,
        topic=topic,
        asks=asks,
        found=found,
        digest=words.digest,
    )


def supported(language: str | None) -> str:
    """The template language for a language code such as `de` or `de-AT`; English if there is none."""
    base = (language or "").lower().replace("_", "-").split("-")[0]
    return base if base in LANGUAGES else FALLBACK_LANGUAGE


@lru_cache(maxsize=len(LANGUAGES))
def load(language: str) -> Words:
    """One language's words, checked. Raises pydantic's `ValidationError` if the shipped file is damaged."""
    raw = (FOLDER / f"{language}.toml").read_bytes()
    table = tomllib.loads(raw.decode("utf-8"))
    table["and_"] = table.pop("and")
    return Words.model_validate({**table, "digest": hashlib.sha256(raw).hexdigest()[:12]})


def _named(words: Words, kind: str, values: tuple[str, ...]) -> str:
    one, many = getattr(words.facts, kind)
    if len(values) == 1:
        return str(one).replace("{value}", values[0])
    listed = ", ".join(values[:-1]) + words.and_ + values[-1]
    return str(many).replace("{value}", listed)


def _end(sentence: str) -> str:
    """One full stop where a value already brought its own: "Datum 3.5." """
    return sentence[:-1] if sentence.endswith("..") else sentence
