"""Authentication-Results (RFC 8601) read, and the one question asked of it: is this sender vouched for?

Only the header that our own mail server added counts, told by its authserv-id, and of those only the
topmost: whatever stands below may have come with the mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.ingest.inboxes import Inbox
from pipeline.ingest.message import ParsedMessage

_MAX_HEADER = 20_000
_SECOND_LEVEL = frozenset(
    ("ac", "co", "com", "edu", "go", "gob", "gov", "gouv", "mil", "ne", "net", "nom", "or", "org")
)


@dataclass(frozen=True, slots=True)
class Result:
    """One method's result, lower-cased; `properties` like {"header.from": "example.com"}."""

    method: str
    result: str
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """One header: who says it, and what was found."""

    authserv_id: str
    results: tuple[Result, ...]


def vouch(parsed: ParsedMessage, inbox: Inbox | None) -> tuple[bool, str]:
    """Whether the inbox vouches for a mail's sender, and one sentence why (not)."""
    return vouched(
        parsed.authentication_results,
        authserv_id=inbox.authserv_id if inbox is not None else None,
        from_address=parsed.from_.address if parsed.from_ else None,
        from_trusted=parsed.from_trusted,
    )


def parse(value: str) -> AuthenticationResults | None:
    """Read one header's value; None if it is not one."""
    clauses = _clauses(value[:_MAX_HEADER])
    if not clauses or not clauses[0]:
        return None
    authserv_id = clauses[0][0].lower()
    results = tuple(result for clause in clauses[1:] if (result := _result(clause)))
    return AuthenticationResults(authserv_id=authserv_id, results=results)


def vouched(
    headers: Sequence[str], *, authserv_id: str | None, from_address: str | None, from_trusted: bool
) -> tuple[bool, str]:
    """Whether an aligned DMARC pass vouches for the From address, and one sentence why (not).

    `headers` are the Authentication-Results values, topmost first.
    """
    if not authserv_id:
        return False, "the inbox names no authserv_id whose Authentication-Results could be trusted"
    if not from_address or "@" not in from_address:
        return False, "the mail names no sender"
    if not from_trusted:
        return False, "the From header is malformed or names more than one sender"
    for value in headers:
        parsed = parse(value)
        if parsed is not None and parsed.authserv_id == authserv_id.lower():
            return _judge(parsed, from_address.rpartition("@")[2].lower().rstrip("."))
    return False, f"no Authentication-Results by {authserv_id}"


def _judge(parsed: AuthenticationResults, domain: str) -> tuple[bool, str]:
    dmarc = [result for result in parsed.results if result.method == "dmarc"]
    if not dmarc:
        return False, f"{parsed.authserv_id} says nothing about DMARC"
    for result in dmarc:
        if result.result != "pass":
            return False, f"{parsed.authserv_id} says dmarc={result.result[:20]}"
        stated = result.properties.get("header.from", "").lower().rstrip(".").rpartition("@")[2]
        if not stated:
            return False, f"{parsed.authserv_id} does not say for which domain DMARC passed"
        if stated != domain and not _is_parent(stated, domain):
            return False, f"DMARC passed for {stated[:80]}, the mail says it is from {domain[:80]}"
    return True, f"DMARC passed for {domain[:80]}, says {parsed.authserv_id}"


def _is_parent(parent: str, domain: str) -> bool:
    """Whether `parent` is an organisation's domain above `domain`; never a registry's, like co.uk."""
    labels = parent.split(".")
    if not domain.endswith("." + parent) or len(labels) < 2 or not all(labels):
        return False
    registry = len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVEL
    return not registry


def _result(clause: list[str]) -> Result | None:
    """`dmarc=pass (comment) reason="…" header.from=example.com`, already in words."""
    if not clause or "=" not in clause[0]:
        return None
    method, _, result = clause[0].partition("=")
    properties: dict[str, str] = {}
    for word in clause[1:]:
        name, equals, value = word.partition("=")
        if equals and name:
            # the first one stands: a second of the same name would be somebody's addition
            properties.setdefault(name.lower(), value)
    return Result(
        method=method.partition("/")[0].strip().lower(), result=result.lower(), properties=properties
    )


def _clauses(value: str) -> list[list[str]]:
    """The header split at semicolons, each clause as words; comments gone, quoted strings opened.

    White space around `=`, `/` and `.` belongs to no word, as the grammar allows it there.
    """
    clauses: list[list[str]] = [[]]
    word: list[str] = []
    spaced = depth = 0
    quoted = False
    at = 0

    def end() -> None:
        if word:
            clauses[-1].append("".join(word))
            word.clear()

    while at < len(value):
        char = value[at]
        at += 1
        if depth or quoted:
            if char == "\\" and at < len(value):
                if quoted:
                    word.append(value[at])
                at += 1
            elif depth:
                depth += (char == "(") - (char == ")")
            elif char == '"':
                quoted = False
            else:
                word.append(char)
        elif char == "(":
            depth = 1
            spaced = 1
        elif char == ";":
            end()
            clauses.append([])
            spaced = 0
        elif char.isspace():
            spaced = 1
        else:
            if spaced and word and word[-1] not in "=/" and char not in "=/":
                end()
            spaced = 0
            if char == '"':
                quoted = True
            else:
                word.append(char)
    end()
    return clauses
