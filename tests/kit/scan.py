"""A passive scan of running pages: what each answer shows, held against rules that web scanners hold pages to.

    assert [finding for seen in walk(client, ["/login"], private=False).seen for finding in findings(seen)] == []

Each rule carries the number that ZAP gives to the same check, so that its documentation can be looked up. What
is left out, with the reason: 10096 (timestamps: times are what the pages show), 10094 (Base64: tokens are), 10003
(vulnerable libraries: the one that is shipped is pinned and vendored), 10109 to 10112 (remarks, not faults).
`tests.kit.attacks` has the walk from page to page, and the active part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
from lxml import html


@dataclass(frozen=True, order=True)
class Finding:
    rule: str
    where: str
    what: str


@dataclass(frozen=True)
class Seen:
    """An answer. `private` says that it was given to somebody logged in, `https` that browsers come by TLS."""

    method: str
    address: str
    answer: httpx2.Response
    private: bool = False
    https: bool = False

    @property
    def text(self) -> str:
        return self.answer.text

    @cached_property
    def kind(self) -> str:
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        return self.kind == "text/html"

    @property
    def origin(self) -> str:
        parts = urlsplit(str(self.answer.request.url))
        return f"{parts.scheme}://{parts.netloc}"

    @cached_property
    def tree(self) -> Any:
        """The page, or an empty one."""
        return html.fromstring(self.text if self.is_page and self.text.strip() else "<p></p>")

    @cached_property
    def policy(self) -> dict[str, list[str]]:
        """The content security policy: {directive: sources}."""
        parts = [part.split() for part in self.header("content-security-policy").split(";")]
        return {part[0].lower(): part[1:] for part in parts if part}

    def header(self, name: str) -> str:
        return str(self.answer.headers.get(name, ""))

    def elsewhere(self, address: str) -> bool:
        """Whether an address of the page leads to another host."""
        parts = urlsplit(urljoin(str(self.answer.request.url), address))
        return parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" != self.origin


Rule = Callable[[Seen], Iterable[str]]
RULES: dict[str, Rule] = {}


def rule(number: str) -> Callable[[Rule], Rule]:
    """Make a function the rule of that number: it tells what is wrong with an answer."""

    def keep(check: Rule) -> Rule:
        RULES[number] = check
        return check

    return keep


def findings(seen: Seen) -> list[Finding]:
    """What the rules say of an answer."""
    where = f"{seen.method} {seen.address[:150]}"
    return [Finding(number, where, what) for number, check in RULES.items() for what in check(seen)]


# --- headers --------------------------------------------------------------------------------------------


@rule("10038 no content security policy")
def _(seen: Seen) -> Iterator[str]:
    if seen.is_page and not seen.policy:
        yield "no content-security-policy"


@rule("10055 weak content security policy")
def _(seen: Seen) -> Iterator[str]:
    if not seen.policy:
        return
    for name in ("default-src", "form-action", "base-uri", "frame-ancestors"):
        if name not in seen.policy and "sandbox" not in seen.policy:
            yield f"{name} is not set"
    for name, sources in seen.policy.items():
        weak = [s for s in sources if "unsafe" in s or "*" in s or s in ("http:", "https:", "data:", "blob:")]
        if weak:
            yield f"{name} allows {weak}"
    for part in seen.tree.xpath("//*[@style] | //style[not(@nonce)] | //script[not(@nonce)]"):
        yield f"<{part.tag}> is not covered by the policy"
    for part in seen.tree.iter():
        if isinstance(part.tag, str) and any(name.startswith("on") for name in part.attrib):
            yield f"<{part.tag}> has an event handler"


@rule("10021 no nosniff")
def _(seen: Seen) -> Iterator[str]:
    if seen.header("x-content-type-options").lower() != "nosniff":
        yield "x-content-type-options is not nosniff"


@rule("10020 may be framed")
def _(seen: Seen) -> Iterator[str]:
    if seen.is_page and seen.policy.get("frame-ancestors") not in (["'none'"], ["'self'"]):
        yield "the policy lets other sites frame the page"
    if seen.is_page and seen.header("x-frame-options").upper() not in ("DENY", "SAMEORIGIN"):
        yield "x-frame-options lets other sites frame the page"


@rule("10025 address told to others")
def _(seen: Seen) -> Iterator[str]:
    if seen.is_page and seen.header("referrer-policy") not in ("same-origin", "no-referrer", "strict-origin"):
        yield f"referrer-policy is {seen.header('referrer-policy')!r}"


@rule("10063 no permissions policy")
def _(seen: Seen) -> Iterator[str]:
    missing = [
        n
        for n in ("camera", "microphone", "geolocation")
        if f"{n}=()" not in seen.header("permissions-policy")
    ]
    if seen.is_page and missing:
        yield f"{missing} are not denied"


@rule("90004 not isolated from other origins")
def _(seen: Seen) -> Iterator[str]:
    wanted = [("cross-origin-resource-policy", "same-origin")]
    if seen.is_page:
        wanted += [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
        ]
    for name, value in wanted:
        if seen.header(name) != value:
            yield f"{name} is not {value}"


@rule("10098 other origins may read it")
def _(seen: Seen) -> Iterator[str]:
    if seen.header("access-control-allow-origin"):
        yield f"access-control-allow-origin is {seen.header('access-control-allow-origin')!r}"


@rule("10035 no strict transport security")
def _(seen: Seen) -> Iterator[str]:
    age = re.search(r"max-age=(\d+)", seen.header("strict-transport-security"))
    if seen.https and (age is None or int(age[1]) < 15_552_000):
        yield "browsers are not told to stay with https for half a year"
    if not seen.https and age is not None:
        yield "strict-transport-security without TLS"


@rule("10036 software told in a header")
def _(seen: Seen) -> Iterator[str]:
    for name in ("server", "x-powered-by", "x-aspnet-version", "x-generator", "via", "x-debug-token"):
        if seen.header(name):
            yield f"{name}: {seen.header(name)}"


@rule("10015 private page may be kept")
def _(seen: Seen) -> Iterator[str]:
    kept = "no-store" not in seen.header("cache-control")
    if kept and not seen.address.startswith("/static/") and (seen.private or seen.kind != "text/plain"):
        yield f"cache-control is {seen.header('cache-control')!r}"


@rule("10019 no content type")
def _(seen: Seen) -> Iterator[str]:
    if seen.answer.content and not seen.kind:
        yield "a body without a content-type"


@rule("90011 character sets differ")
def _(seen: Seen) -> Iterator[str]:
    told = seen.header("content-type").lower().partition("charset=")[2].strip(" \"'")
    inside = [str(name).lower() for name in seen.tree.xpath("//meta/@charset")]
    if seen.is_page and (told != "utf-8" or any(name != told for name in inside)):
        yield f"the header says {told!r}, the page {inside}"


@rule("10105 password asked for in the open")
def _(seen: Seen) -> Iterator[str]:
    if seen.header("www-authenticate").lower().startswith(("basic", "digest")):
        yield seen.header("www-authenticate")


# --- cookies --------------------------------------------------------------------------------------------


def _cookies(seen: Seen) -> Iterator[tuple[str, set[str]]]:
    for line in seen.answer.headers.get_list("set-cookie"):
        name, *rest = line.split(";")
        yield name.partition("=")[0].strip(), {part.strip().lower() for part in rest}


@rule("10010 cookie readable by scripts")
def _(seen: Seen) -> Iterator[str]:
    return (name for name, said in _cookies(seen) if "httponly" not in said)


@rule("10011 cookie sent without TLS")
def _(seen: Seen) -> Iterator[str]:
    return (name for name, said in _cookies(seen) if seen.https and "secure" not in said)


@rule("10054 cookie sent from other sites")
def _(seen: Seen) -> Iterator[str]:
    return (name for name, said in _cookies(seen) if not said & {"samesite=lax", "samesite=strict"})


@rule("90033 cookie for more hosts or paths than it needs")
def _(seen: Seen) -> Iterator[str]:
    return (name for name, said in _cookies(seen) if any(part.startswith("domain=") for part in said))


# --- what a page says -----------------------------------------------------------------------------------


@rule("10023 words of an error inside")
def _(seen: Seen) -> Iterator[str]:
    words = (
        r"Traceback \(most recent|File \"[^\"]+\.py\", line \d|sqlalchemy\.|psycopg|sqlite3\.|OperationalError"
        r"|(?:Type|Value|Key|Attribute|Runtime|Index)Error\b|Internal Server Error|jinja2\.|UndefinedError"
    )
    found = re.search(words, seen.text)
    if found and seen.kind in ("text/html", "text/plain", "application/json"):
        yield found[0]


@rule("90022 broken")
def _(seen: Seen) -> Iterator[str]:
    if seen.answer.status_code >= 500:
        yield f"{seen.answer.status_code}: {' '.join(seen.text.split())[:80]}"


@rule("2 private address")
def _(seen: Seen) -> Iterator[str]:
    found = re.search(
        r"(?<![\d.])(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}(?![\d.])", seen.text
    )
    if found and seen.is_page:
        yield found[0]


@rule("10027 telling comment")
def _(seen: Seen) -> Iterator[str]:
    for comment in seen.tree.xpath("//comment()"):
        if re.search(r"todo|fixme|hack|bug|password|secret|select |query", str(comment), re.IGNORECASE):
            yield str(comment)[:80]


@rule("10062 card number")
def _(seen: Seen) -> Iterator[str]:
    for hit in re.finditer(r"(?<![\w.])[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{1,7}(?!\w)", seen.text):
        digits = [int(c) for c in reversed(hit[0]) if c.isdigit()]
        doubled = [n if at % 2 == 0 else n * 2 - 9 * (n > 4) for at, n in enumerate(digits)]
        if seen.is_page and sum(doubled) % 10 == 0:
            yield f"{hit[0][:4]}…"


@rule("10097 hash of a password")
def _(seen: Seen) -> Iterator[str]:
    found = re.search(r"\$(?:argon2\w*|2[aby]|scrypt|pbkdf2[\w-]*|5|6)\$|\bscrypt:\d", seen.text)
    if found and not seen.address.startswith("/static/"):
        yield found[0]


@rule("10099 source code")
def _(seen: Seen) -> Iterator[str]:
    words = r"<%|<\?php|\{%|\{\{|from __future__ import|^(?:async )?def \w+\(.*\).*:$|^\s*SELECT .+ FROM "
    found = re.search(words, seen.text, re.MULTILINE)
    if found and seen.is_page:
        yield found[0]


@rule("10017 script of another host")
def _(seen: Seen) -> Iterator[str]:
    return (src for src in seen.tree.xpath("//script/@src") if seen.elsewhere(src))


@rule("90003 foreign part without a hash")
def _(seen: Seen) -> Iterator[str]:
    for part in seen.tree.xpath(
        "//script[@src and not(@integrity)] | //link[@rel='stylesheet' and not(@integrity)]"
    ):
        if seen.elsewhere(part.get("src") or part.get("href") or ""):
            yield str(part.get("src") or part.get("href"))


@rule("10040 part fetched without TLS")
def _(seen: Seen) -> Iterator[str]:
    found = seen.tree.xpath("//link/@href | //*[not(self::a)]/@src | //form/@action | //object/@data")
    return (at for at in found if at.lower().startswith("http:"))


@rule("10108 opened page can reach back")
def _(seen: Seen) -> Iterator[str]:
    return (
        a.get("href") for a in seen.tree.xpath("//a[@target='_blank' and not(contains(@rel, 'noopener'))]")
    )


@rule("10202 form without a token")
def _(seen: Seen) -> Iterator[str]:
    """The doors have no session yet to hang a token on: they are taken from our own pages only, which the active
    part tries."""
    for form in seen.tree.xpath("//form[translate(@method, 'POST', 'post')='post']"):
        door = (form.get("action") or "").startswith(("/login", "/enter/"))
        if not door and not any(form.xpath(".//input[@name='csrf']/@value")):
            yield str(form.get("action"))


@rule("10024 secret in an address")
def _(seen: Seen) -> Iterator[str]:
    for address in [*seen.tree.xpath("//@href | //@src | //@hx-get"), seen.header("location"), seen.address]:
        names = {name.lower() for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
        if told := names & {
            "password",
            "pass",
            "token",
            "csrf",
            "session",
            "sid",
            "jsessionid",
            "email",
            "secret",
        }:
            yield f"{sorted(told)} in {address[:80]}"
    for form in seen.tree.xpath("//form[not(@method) or translate(@method, 'GET', 'get')='get']"):
        if form.get("action") and form.xpath(".//input[@type='password' or @name='csrf']"):
            yield f"the form {form.get('action')} sends a secret by GET"


@rule("10012 password kept by the browser")
def _(seen: Seen) -> Iterator[str]:
    known = ("current-password", "new-password", "off")
    return (
        p.get("name")
        for p in seen.tree.xpath("//input[@type='password']")
        if p.get("autocomplete") not in known
    )


@rule("20019 leads elsewhere")
def _(seen: Seen) -> Iterator[str]:
    if seen.elsewhere(seen.header("location") or "/"):
        yield seen.header("location")
