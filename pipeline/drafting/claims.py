"""Checks by program what a reply claims, against thread, account facts and policy.

What stands nowhere is marked for the agent. What can do harm (a link, an address or an IBAN that nobody of
ours gave, a customer's or an order's number from nowhere, money promised that neither policy nor account
supports, a leak, an order to the machine carried out) keeps the draft from being approved as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.drafting.dangers import dangers
from pipeline.drafting.deadlines import UNIT_AFTER, deadlines_in
from pipeline.drafting.facts import Fact, code_key, facts_in, hosts_inside, number_value, plain, same
from pipeline.drafting.leak import leaked
from pipeline.drafting.promises import NAMED, mentions_in, promises_in, sentences, speaks_of
from pipeline.drafting.threads import Thread
from pipeline.routing.manipulation import in_words, signs_in

NOTHING = "nothing"


@dataclass(frozen=True)
class Claim:
    """Something that a reply states. `supported_by` is thread, account, policy or nothing.

    `kind` is one of `facts.KINDS`, or promise, deadline, or statement (the model's own word).
    """

    text: str
    supported_by: str
    kind: str

    def to_json(self) -> dict[str, str]:
        return {"text": self.text, "supported_by": self.supported_by, "kind": self.kind}


@dataclass(frozen=True)
class Checked:
    """The claims in a reply, each once, and why it may not be approved as it stands (plain sentences)."""

    claims: tuple[Claim, ...]
    blocked: tuple[str, ...]


def check_claims(
    reply: str,
    thread: Thread,
    *,
    stated: Iterable[tuple[str, str]] = (),
    instructions: str = "",
    fence: str = "",
) -> Checked:
    """Check a reply. `stated` are the model's own (text, supported_by); `instructions` is its prompt's
    system part and `fence` its delimiter, neither of which may come out again.

    `fence` is empty for a text that no model wrote: such a one cannot have been talked into anything, so
    that its thread speaks to the machine is then no reason to stop it."""
    text = plain(reply)
    evidence = _Evidence(thread)
    claims: list[Claim] = []
    blocked: list[str] = []
    for fact in facts_in(text):
        support = evidence.of(fact)
        claims.append(Claim(fact.text, support, fact.kind))
        if why := _dangerous(
            fact, support, _sentence_at(text, fact), text[max(0, fact.start - 40) : fact.start], evidence
        ):
            blocked.append(why)
    promises = promises_in(text)
    for promise in promises:
        support = evidence.of_promise(promise.category, promise.sentence)
        claims.append(Claim(promise.sentence, support, "promise"))
        if support == NOTHING:
            blocked.append(
                f"It promises {NAMED[promise.category]}, which neither the policy nor the account facts "
                f"support: “{_short(promise.sentence)}”"
            )
    promised = {promise.sentence for promise in promises}
    claims += [
        Claim(mention.sentence, evidence.of_promise(mention.category, mention.sentence), "promise")
        for mention in mentions_in(text)
        if mention.sentence not in promised
    ]
    for words, form in deadlines_in(text):
        claims.append(Claim(words, evidence.of_deadline(form), "deadline"))
    claims += _stated(stated, text, claims, thread)
    if leaked(reply, instructions, fence, (item.text for item in evidence.sources)):
        blocked.append("It repeats the instructions that the model was given.")
    signs = signs_in(evidence.from_outside)
    blocked += dangers(text, signs, [item.text for item in evidence.sources[:3]], evidence.from_outside)
    if fence and (orders := [sign for sign in signs if sign.plain_order]):
        blocked.append(f"{in_words(orders)} A person must see that the reply follows none of it.")
    return Checked(tuple(dict.fromkeys(claims)), tuple(dict.fromkeys(blocked)))


@dataclass(frozen=True)
class _Source:
    """One place where a claim can rest; `figures` are its bare numbers, which any currency may belong to."""

    name: str
    supports: str
    text: str
    facts: tuple[Fact, ...]
    figures: frozenset[str]


class _Evidence:
    """Everything that a reply may rest on, strongest first: policy, account, our words, the customer's.

    The name that we sign with counts as our word; a message's date is known, whoever wrote it.
    """

    def __init__(self, thread: Thread) -> None:
        account = "\n".join(_flat(thread.account)) if thread.account else ""
        dates = " ".join(f"{message.created:%Y-%m-%d}" for message in thread.messages if message.created)
        customer = "\n".join([thread.text_by("customer"), thread.customer_name or "", dates])
        self.sources = (
            _policy(thread.policy or ""),
            _source("account", "account", account),
            _source("agent", "thread", f"{thread.text_by('agent')}\n{thread.sender_name}"),
            _source("customer", "thread", customer),
        )
        self.own_address = (thread.stranger or thread.customer_address or "").lower()
        self.from_outside = "\n".join([customer, *_values(thread.account)])
        self._links = {
            value.strip() for value in _values(thread.account) if re.fullmatch(r"\s*https?://\S+\s*", value)
        }

    def of(self, fact: Fact, names: tuple[str, ...] = ("policy", "account", "agent", "customer")) -> str:
        if fact.kind == "link":
            if fact.text in self._links:
                return "account"
            names = tuple(name for name in names if name in ("policy", "agent"))
            if not all(self._host(host, names) for host in hosts_inside(fact.text)):
                return NOTHING
        if fact.kind == "email" and self.own_address in fact.keys:
            return "thread"
        return next(
            (source.supports for source in self.sources if source.name in names and _holds(source, fact)),
            NOTHING,
        )

    def _host(self, host: str, names: tuple[str, ...]) -> bool:
        """Whether a source links to this host."""
        return any(
            known.kind == "link" and host in known.keys
            for source in self.sources
            if source.name in names
            for known in source.facts
        )

    def ours(self, fact: Fact) -> bool:
        """Whether it stands somewhere that no customer writes to."""
        return self.of(fact, ("policy", "account", "agent")) != NOTHING

    def of_promise(self, category: str, sentence: str) -> str:
        """Money needs policy, account or our own earlier promise; its amount too: that the customer named
        the sum is no support for paying it."""
        sums = [fact for fact in facts_in(sentence) if fact.kind in ("amount", "percent")]
        if not all(self.ours(fact) for fact in sums):
            return NOTHING
        policy, account, agent, _ = self.sources
        if speaks_of(policy.text, category):
            return "policy"
        if speaks_of(account.text, category):
            return "account"
        promised = any(promise.category == category for promise in promises_in(agent.text))
        return "thread" if promised else NOTHING

    def of_deadline(self, form: str) -> str:
        return next(
            (
                source.supports
                for source in self.sources
                if source.name != "customer" and form in {known for _, known in deadlines_in(source.text)}
            ),
            NOTHING,
        )


@lru_cache(maxsize=4)
def _policy(text: str) -> _Source:
    """The policy, which is the same from draft to draft."""
    return _source("policy", "policy", text.replace("**", ""))  # Markdown's bold


def _source(name: str, supports: str, text: str) -> _Source:
    text = plain(text)
    facts = tuple(facts_in(text))
    return _Source(name, supports, text, facts, frozenset(_figures(text, facts, keyed=name == "account")))


_OF_MONEY = re.compile(
    r"amount|price|total|cost|fee|charg|balance|paid|pay|refund|sum|value|due|credit|cents|minor|net|gross|tax|vat",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(?::\d|\s?(?:times|mal|fois|veces|volte|keer|vezes|raz[ay]?|x)\b)", re.IGNORECASE)


def _figures(text: str, facts: Iterable[Fact], *, keyed: bool) -> Iterator[str]:
    """Bare figures that may be money: no part of a date or another fact, no time of day, no "10 days". Of
    lines `orders quantity: 10` (`keyed`) those whose key is of money, or that have cents."""
    spans = [(fact.start, fact.start + len(fact.text)) for fact in facts if fact.kind != "number"]
    for match in re.finditer(r"(?<!\d:)\d[\d.,'’]*", text):
        figure = match[0].rstrip(".,'’")
        end = match.start() + len(figure)
        if any(start <= match.start() < stop for start, stop in spans):
            continue
        if UNIT_AFTER.match(text, end) or _COUNTED.match(text, end):
            continue
        key = text[text.rfind("\n", 0, end) + 1 : match.start()].partition(":")[0]
        if keyed and not _OF_MONEY.search(key) and not re.search(r"[.,]\d\d$", figure):
            continue
        if (value := number_value(figure)) is not None:
            yield value


def _holds(source: _Source, fact: Fact) -> bool:
    if any(fact.kind == known.kind and same(fact.kind, fact.keys, known.keys) for known in source.facts):
        return True
    if fact.kind == "amount":
        return any(key.split(" ")[0] in source.figures for key in fact.keys)
    if fact.kind in ("number", "phone", "iban", "card"):
        return _spelt_in(code_key(fact.text), source.text)
    return False


def _spelt_in(key: str, text: str) -> bool:
    """Whether the letters and digits stand in the text as one number, however it is grouped."""
    if not key:
        return False
    pattern = r"[\s#/_.()\-]*".join(re.escape(character) for character in key)
    return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", text, re.IGNORECASE) is not None


_DIRECTING = (
    r"write (?:to|us)|e-?mail (?:us|to|them|me)|contact|call\b|dial|ring\b|reply to|send|forward|transfer",
    r"pay\b|wire\b|reach (?:us|out)|get in touch|text (?:us|me)",
    r"schreiben|kontaktieren|rufen|anrufen|melden|senden|schicken|überweisen|zahlen|wenden",
    r"écri(?:re|vez)|appel(?:er|ez)|envo(?:yer|yez)|vir(?:er|ez)|pay(?:er|ez)|adressez",
    r"escrib\w+|llam(?:e|ar)|envi\w+|envíe|transfier\w+|pague|pagar|dirí\w+",
    r"scriv(?:a|ere)|contatt(?:i|are)|chiam(?:i|are)|invi(?:i|are)|vers(?:i|are)|pag(?:hi|are)|rivolg\w+",
    r"schrijf|neem contact|bel\b|bellen|stuur|sturen|betaal|betalen|overmaken|maak\b",
    r"escrev[ae]\w*|contat[eo]|lig(?:ue|ar)|envie|enviar|transfir\w+",
    r"napisz|napisać|pisać|skontakt\w+|zadzwo\w+|dzwoni\w+|wyśl\w+|prześl\w+|przel\w+|wpłac\w+|zapłac\w+|zgłosi\w+",
)
_DIRECTS = re.compile(rf"\b(?:{'|'.join(_DIRECTING)})", re.IGNORECASE)
_NAMES = {"email": "e-mail address", "phone": "phone number", "iban": "IBAN"}


_IDENTIFIES = re.compile(
    r"\b(?:order|invoice|booking|account|customer|ticket|tracking|contract|(?:bestell|rechnungs|auftrags|kunden|konto|"
    r"sendungs|vertrags)\w*|bestellung|rechnung|auftrag|commande|facture|compte|client|pedido|factura|cuenta|cliente|ordine|"
    r"fattura|conto|bestelling|factuur|klant\w*|fatura|conta|encomenda|zamówieni\w*|faktur\w*|kont[oa]|klient\w*)"
    r"(?: (?:number|no|nr|n[oº°]|id|nummer|numéro|número|numero|numer\w*))?[ .:#]{1,3}$",
    re.IGNORECASE,
)


def _dangerous(fact: Fact, support: str, sentence: str, before: str, evidence: _Evidence) -> str | None:
    """Why a fact in a reply may do harm, or None. `before` are the words in front of it.

    A link, or an address that the reply sends the customer to, must come from us: a forged mail could
    otherwise have us pass its bait on under our name. The link of an account fact must be that fact's
    whole value, word for word: a link inside of a text there may be a customer's.
    """
    if fact.kind == "card":
        return "It shows what looks like a payment card number."
    if fact.kind == "number" and support == NOTHING and (cue := _IDENTIFIES.search(before)):
        return f"It names {cue[0].strip()} {fact.text}, which stands nowhere; it may be somebody else's."
    if fact.kind == "link" and support == NOTHING:
        return f"It links to {_short(fact.text)}, which neither our team nor the policy ever named."
    if fact.kind not in _NAMES or evidence.ours(fact) or evidence.own_address in fact.keys:
        return None
    if support == NOTHING:
        named = f"It gives the {_NAMES[fact.kind]} {fact.text}"
        return f"{named}, which stands neither in the thread nor in account facts or policy."
    if _DIRECTS.search(sentence) or before.lower().endswith("mailto:"):
        return (
            f"It sends the customer to the {_NAMES[fact.kind]} {fact.text}, which only the mail itself named."
        )
    return None


def _stated(
    stated: Iterable[tuple[str, str]], text: str, checked: list[Claim], thread: Thread
) -> Iterator[Claim]:
    """The model's own claims that stand in the reply, corrected by what the program found in them."""
    given = {"thread": True, "account": bool(thread.account), "policy": bool(thread.policy)}
    flat = " ".join(text.split())
    known = {claim.text for claim in checked}
    for words, support in stated:
        words = " ".join(plain(words).split())
        if not words or words not in flat or words in known:
            continue
        unfounded = any(claim.supported_by == NOTHING and claim.text in words for claim in checked)
        yield Claim(words, NOTHING if unfounded or not given.get(support) else support, "statement")


def _sentence_at(text: str, fact: Fact) -> str:
    return next((sentence for sentence in sentences(text) if fact.text in sentence), text)


_NO_VALUE = frozenset(("none", "no", "false", "0", "0.0", "0.00", ""))
"""`refunded: no` must not support the promise of a refund."""


def _flat(value: Any, path: str = "") -> Iterator[str]:
    """Account facts as lines `payments amount: 49.00`; amounts in cents also as whole units."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path} {str(key).replace('_', ' ')}".strip())
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _flat(item, path)
    elif str(value).lower() not in _NO_VALUE:
        yield f"{path}: {value}"
        if isinstance(value, int) and path.endswith(("cents", "minor")):
            yield f"{path}: {value / 100:.2f}"


def _values(value: Any) -> Iterator[str]:
    """The texts among account facts, without what they are called."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _values(item)
    elif isinstance(value, str):
        yield value


def _short(text: str, longest: int = 160) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
