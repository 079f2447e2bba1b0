"""What is known of a customer's case from the extracted fields and the text: safe to show in a reply.

Field values come from a customer's mail, so a value is taken only if it looks like what it claims to be:
an order number never carries a link, an amount never carries a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MAX_SHOWN = 3
"""How many values of a kind a reply names; a list of twenty order numbers reads like a machine."""

_NUMBER = re.compile(r"#?(?=[^\d]*\d)[^\W_][\w#/.\-]{1,38}[^\W_]")
_SHAPES: dict[str, tuple[str, re.Pattern[str]]] = {
    "order": ("order_numbers", _NUMBER),
    "invoice": ("invoice_numbers", _NUMBER),
    "account": ("account_ids", _NUMBER),
    "amount": (
        "amounts",
        re.compile(r"(?=.*\d)[^\W\d_]{0,4}\W{0,3}\d[\d.,'’\s]{0,14}\W{0,3}[^\W\d_]{0,7}\.?"),
    ),
    "date": ("dates", re.compile(r"(?=.*\d)[\w.,/\-\s°ºª]{3,30}")),
    "email": ("emails", re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{3,190}")),
}
_LINK = re.compile(r"://|www\.|@|\.[a-z]{2,}(?:/|$)", re.IGNORECASE)

_DEVICES = re.compile(
    r"\b(?:windows|mac ?os|os ?x|macbook|imac|linux|ubuntu|android|ios ?\d|iphone|ipad|pixel|galaxy|"
    r"chrome(?:book)?|firefox|safari|edge|opera|"
    r"(?:version|versione|versión|versão|versie|wersj[aiięą]|v) ?\d+(?:\.\d+)*)\b",
    re.IGNORECASE,
)
_QUANTITIES = re.compile(
    r"\b\d{1,6}\s+(?:\w+\s+)?(?:users?|people|persons?|seats?|licen[cs]es?|units?|pieces?|employees|"
    r"nutzer\w*|personen|lizenzen|plätze|stück|mitarbeiter\w*|"
    r"personnes|utilisateurs|licences|unités|pièces|employés|"
    r"personas|usuarios|licencias|unidades|piezas|empleados|"
    r"persone|utenti|licenze|unità|pezzi|dipendenti|"
    r"gebruikers|licenties|stuks|medewerkers|"
    r"pessoas|usuários|utilizadores|licenças|peças|funcionários|"
    r"osób|osoby|użytkownik\w*|licencj\w+|sztuk\w*|pracownik\w*)\b",
    re.IGNORECASE,
)
_ENOUGH_WORDS = 25
"""A message of at least so many words has said what it is about; asking for "more detail" would annoy."""


def known_facts(fields: Mapping[str, Any], text: str = "") -> dict[str, tuple[str, ...]]:
    """What is known, by kind, each kind at most once: order, invoice, account, amount, date, email, device,
    quantity, details. Values are verbatim; kinds with none are absent.

    `fields` are those of a triage: lists of texts or of {"value", "normalised"}. `text` is what the
    customer wrote; device, quantity and details come from it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for kind, (name, shape) in _SHAPES.items():
        values = tuple(_fitting(values_of(fields, name), kind, shape))
        if values:
            found[kind] = values[:MAX_SHOWN]
    for kind, pattern in (("device", _DEVICES), ("quantity", _QUANTITIES)):
        if match := pattern.search(text):
            found[kind] = (match[0],)
    if len(text.split()) >= _ENOUGH_WORDS:
        found["details"] = ("yes",)
    return found


def values_of(fields: Mapping[str, Any], name: str) -> list[str]:
    """The verbatim values of one field kind, in order, each once."""
    listed = fields.get(name) or []
    values = [str(item.get("value", "")) if isinstance(item, Mapping) else str(item) for item in listed]
    return list(dict.fromkeys(value.strip() for value in values if value.strip()))


def _fitting(values: Iterable[str], kind: str, shape: re.Pattern[str]) -> Iterable[str]:
    for value in values:
        value = " ".join(value.split())
        if shape.fullmatch(value) and (kind == "email" or not _LINK.search(value)):
            yield value.rstrip(".") if kind != "date" else value


_NAME = re.compile(r"[^\W\d_][^\W\d_'’.\- ]*(?:[ '’.\-]+[^\W\d_]+\.?){0,4}")
_NOT_NAMES = frozenset(
    ("info", "support", "service", "sales", "team", "office", "contact", "kontakt", "admin", "customer")
) | {"kunde", "client", "cliente", "noreply", "no-reply", "mail", "webmaster", "accounting", "billing"}


def shown_name(name: str | None) -> str | None:
    """A customer's name as a greeting may show it, or None if what the mail gave does not look like one."""
    if not name:
        return None
    name = " ".join(name.strip().strip("\"'").split())
    if name.count(",") == 1:  # "Keller, Maria"
        last, first = (part.strip() for part in name.split(","))
        name = f"{first} {last}"
    if len(name) > 50 or not _NAME.fullmatch(name) or _LINK.search(name):
        return None
    if any(word in _NOT_NAMES for word in name.lower().split()):
        return None
    return name.title() if name.isupper() and len(name) > 3 else name
