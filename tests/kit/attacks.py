"""The active part of the scan: the walk from page to page, and what each address and form makes of hostile input.

Nothing that is sent may break an answer, come back as markup, put in a header, run as a template, lead elsewhere or
read a file; the rules of `tests.kit.scan` hold for these answers too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, quote_from_bytes, urljoin, urlsplit

import httpx2

from tests.kit.scan import Finding, Seen, findings

FORM = "application/x-www-form-urlencoded"
ELSEWHERE = "zq.example"
PRODUCT = str(7331 * 7331)

TEXTS: dict[str, bytes] = {
    "markup, template, SQL, header": (
        b"zq'\"></textarea></title><zq-mark zq=1>{{7331*7331}}${7331*7331}<%=7331*7331%>') OR 1=1;--\r\nx-zq: 1\r\n\r\n"
    ),
    "NUL, not UTF-8": b"a\x00b\xff\xfe\xed\xa0\x80\xf5",
}
ADDRESSES: dict[str, bytes] = {
    "another site": b"//zq.example/%5c",
    "script": b"javascript:zq//zq.example",
    "file": b"../../../../../../../../etc/passwd",
    "long": b"%s\\" * 9000,
}
NUMBERS = {"negative": b"-1", "huge": b"9" * 40, "no number": b"1e999", "letters": b"zq"}
MOMENTS = {"first year": b"0001-01-01T00:00:00+14:00", "last year": b"9999-12-31T23:59:59-14:00"}
STEPS = ("-1", "9" * 25, "%00", "..%2f..%2fetc%2fpasswd", "%D9%A3", "%ff", "a" * 3000)
"""What stands in a path in place of a number or a name."""

SHARED = ("csrf", "back", "version")
"""Fields that nearly every form has; they are attacked in a few."""

HEADERS: tuple[dict[str, bytes], ...] = (
    {"origin": b"http://["},
    {"origin": b"\xff://\xff"},
    {"host": b"zq.example"},
    {"x-forwarded-host": b"zq.example", "x-forwarded-proto": b"https", "forwarded": b"host=zq.example"},
    {"cookie": b"triage_session=\xff\xfe; triage_session=\"'<zq-mark>; =; ;;"},
    {"cookie": b"triage_session=" + b"a" * 6000},
    {"authorization": b"Bearer tri_\xff\xfe"},
    {"x-csrf-token": b"\xff"},
    {"accept": b"text/html;q=zq, \xff"},
    {"range": b"bytes=9-1,-,zq"},
    {"if-modified-since": b"zq", "if-none-match": b"\xff"},
    {"content-type": b"multipart/form-data"},
    {"content-type": b"multipart/form-data; boundary=\xff"},
    {"content-type": FORM.encode() + b"; charset=zq"},
    {"content-type": b"application/json"},
)

JSON: tuple[bytes, ...] = (
    b"", b"[]", b"null", b"{", b"[" * 20_000, b'"\\ud800"', b'{"version": 1e999}', b'{"version": ' + b"9" * 5000 + b"}",
)  # fmt: skip
JSON_VALUES: tuple[bytes, ...] = (
    json.dumps(TEXTS["markup, template, SQL, header"].decode()).encode(),
    b'"a\\u0000b"', b'"\\ud800"', b"9" * 40, b"null", b'{"a": [{"b": "\\u0000"}]}',
)  # fmt: skip


def after(seen: Seen) -> list[Finding]:
    """What the rules say of an answer to hostile input. What was sent is shown again, so nothing that looks like
    source code is held against it."""
    where = f"{seen.method} {seen.address[:150]}"
    ruled = [finding for finding in findings(seen) if not finding.rule.startswith("10099")]
    return ruled + [Finding(number, where, what) for number, what in _come_through(seen)]


def _come_through(seen: Seen) -> Iterator[tuple[str, str]]:
    if seen.tree.xpath("//zq-mark | //*[@zq]"):
        yield "40012 markup comes back as markup", "the marker is an element of the page"
    for address in seen.tree.xpath("//@href | //@src | //@action | //@formaction | //@hx-get | //@hx-post"):
        if address.strip().lower().startswith("javascript:") or urlsplit(address).netloc == ELSEWHERE:
            yield "10031 input becomes an address", address[:80]
    if PRODUCT in seen.text:
        yield "90035 input runs as a template", PRODUCT
    if seen.header("x-zq") or "x-zq" in str(seen.answer.headers.get_list("set-cookie")):
        yield "40003 input becomes a header", "x-zq"
    if "root:x:0:0" in seen.text:
        yield "6 a file was read", "/etc/passwd"
    if words := re.search(
        r"syntax error at or near|near \".*\": syntax error|unterminated quoted|SQLSTATE", seen.text
    ):
        yield "40018 words of a database", words[0]


# --- sending --------------------------------------------------------------------------------------------


@dataclass
class Attacker:
    """Somebody who sends all of this, with one cookie throughout. `undo` puts back what a form has changed.

    `tried` are the fields and paths that had their turn, by whomever; a shared field has `each` turns.
    """

    client: httpx2.Client
    private: bool
    undo: Callable[[], None] = lambda: None
    https: bool = False
    each: int = 2
    sent: int = 0
    found: list[Finding] = field(default_factory=list)
    tried: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.cookie = "; ".join(f"{name}={value}" for name, value in self.client.cookies.items()).encode()

    def send(
        self, method: str, address: str, content: bytes | None = None, headers: dict[str, bytes] | None = None
    ) -> httpx2.Response:
        """One request; what is wrong with its answer is among `found`."""
        self.client.cookies.clear()
        given = {"cookie": self.cookie} | ({"content-type": FORM.encode()} if content is not None else {})
        sent = [(name.encode(), value) for name, value in (given | (headers or {})).items()]
        answer = self.client.request(method, address, content=content, headers=sent)
        self.sent += 1
        self.found += after(Seen(method, address, answer, self.private, self.https))
        kept = answer.status_code in (409, 422) and not address.startswith(
            "/api/"
        )  # as typed, though refused
        if method == "POST" and (answer.status_code < 400 or kept or address.startswith("/login")):
            self.undo()
        return answer

    def addresses(self, asked: Iterable[str]) -> None:
        """Addresses with hostile values in each parameter and in the path."""
        for address in asked:
            parts = urlsplit(address)
            given = dict(parse_qsl(parts.query, keep_blank_values=True))
            for name in given:
                if self._first("GET", shape(address)[0], name):
                    for value in _hostile("GET", name, given[name]):
                        self.send("GET", f"{parts.path}?{_coded(given, name, value)}")
            self.paths("GET", parts.path, STEPS)

    def paths(self, method: str, path: str, values: Iterable[str], content: bytes | None = None) -> None:
        """Hostile values in place of each number, and of what ends the path."""
        steps = path.split("/")
        for at, step in enumerate(steps):
            ends = at == len(steps) - 1 and at > 1 and method == "GET"
            if (step.isdigit() or ends) and self._first(method, shape("/".join(steps[:at]))[0], f"step {at}"):
                for value in values:
                    self.send(method, "/".join([*steps[:at], value, *steps[at + 1 :]]), content)

    def form(self, form: Form) -> None:
        """A form as it stands, with hostile values in one field at a time, without fields, with files, with JSON."""
        if form.method == "GET":
            self.addresses([f"{form.action}?{_coded(form.values)}"])
            return
        kind, whole = form.shape[1], _coded(form.values).encode()
        if self._first("POST", kind, ""):
            first = self.send("POST", form.action, whole)
            logged_out = (
                first.headers.get("location", "").startswith("/login") and "/account/" not in form.action
            )
            refused = first.status_code == 403 and not form.action.startswith("/login")
            if self.private and (logged_out or refused):
                self.found.append(
                    Finding("0 attack in vain", f"POST {form.action}", "the form was not taken")
                )
            self.send("POST", form.action, _coded({"csrf": form.values.get("csrf", "")}).encode())
            self.send("POST", form.action, whole + b"&" + whole)
            self.send("POST", form.action, whole, {"content-type": b"application/json"})
            self.send("POST", form.action, *_as_files(form.values))
            self.paths("POST", form.action, STEPS, whole)
        for name in form.values:
            if self._first("POST", kind, name):
                for value in _hostile("POST", name, form.values[name]):
                    self.send("POST", form.action, _coded(form.values, name, value).encode())

    def _first(self, method: str, path: str, name: str) -> bool:
        """Whether it is this field's turn: the first of its address, and among the first of its name."""
        often = name in SHARED and self.tried[method, name] >= self.each
        new = not self.tried[method, path, name] and not often
        self.tried[method, path, name] += 1
        self.tried[method, name] += new
        return new

    def from_elsewhere(self, form: Form) -> None:
        """A form as another site would have it sent; it must be refused."""
        if form.method == "GET" or not self._first("elsewhere", form.shape[1], ""):
            return
        whole = _coded(form.values).encode()
        for headers in (
            {"origin": b"https://zq.example"},
            {"origin": b"null"},
            {"sec-fetch-site": b"cross-site"},
        ):
            if self.send("POST", form.action, whole, headers).status_code != 403:
                self._taken(form, f"taken with {headers}")
        forged = _coded({**form.values, "csrf": "zq"}).encode()
        if self.private and self.send("POST", form.action, forged).status_code != 403:
            self._taken(form, "taken with another token")

    def _taken(self, form: Form, what: str) -> None:
        self.found.append(Finding("20012 taken from another site", f"POST {form.action}", what))

    def headers(self, method: str, address: str) -> None:
        for headers in HEADERS:
            self.send(method, address, b"csrf=zq" if method == "POST" else None, headers)

    def api(self, method: str, address: str, properties: Iterable[str], right: dict[str, Any]) -> None:
        """A call with hostile JSON, as a whole and in each property."""
        kind = {"content-type": b"application/json"}
        for body in JSON:
            self.send(method, address, body, kind)
        for name in properties:
            others = [
                f"{json.dumps(key)}: {json.dumps(value)}" for key, value in right.items() if key != name
            ]
            for value in JSON_VALUES:
                pairs = [*(other.encode() for other in others), json.dumps(name).encode() + b": " + value]
                self.send(method, address, b"{" + b", ".join(pairs) + b"}", kind)
        self.paths(method, address, STEPS, json.dumps(right).encode())


def _hostile(method: str, name: str, value: str) -> list[bytes]:
    """What a field gets in place of its value: texts, and what is wrong for an address, a number or a moment."""
    if "password" in name or name in ("old", "new", "again"):  # each is hashed, which is slow on purpose
        return [TEXTS["NUL, not UTF-8"]]
    return [
        *TEXTS.values(),
        *(ADDRESSES.values() if method == "GET" or name in ("next", "back") else ()),
        *(NUMBERS.values() if value.isdigit() or method == "GET" else ()),
        *(MOMENTS.values() if name == "at" else ()),
    ]


def _coded(values: dict[str, str], name: str | None = None, value: bytes = b"") -> str:
    """The values as a form sends them, with another `value` for `name`."""
    coded = [f"{quote(key, safe='')}={quote(text, safe='')}" for key, text in values.items() if key != name]
    return "&".join(coded + ([f"{quote(name, safe='')}={quote_from_bytes(value, safe='')}"] if name else []))


def _as_files(values: dict[str, str]) -> tuple[bytes, dict[str, bytes]]:
    """Every field but the token as an uploaded file, whose name and bytes are hostile."""
    parts = []
    for name, value in values.items():
        file = b"" if name == "csrf" else b'; filename="../zq\xff"\r\nContent-Type: zq/zq'
        body = value.encode() if name == "csrf" else b"\x00\xff"
        parts.append(
            b'--zq\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, body)
        )
    return b"".join(parts) + b"--zq--\r\n", {"content-type": b"multipart/form-data; boundary=zq"}


# --- the walk -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """What a form or one of its buttons sends: where, how, and {name: value} as it stands on the page."""

    method: str
    action: str
    values: dict[str, str]

    @property
    def shape(self) -> tuple[str, str, tuple[str, ...]]:
        path, names = shape(self.action)
        return self.method, path, (*names, *sorted(self.values))


@dataclass
class Walked:
    """`seen` are the answers in the order of the walk; `asked` one address, `forms` one form of each shape."""

    seen: list[Seen] = field(default_factory=list)
    asked: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    forms: dict[tuple[str, str, tuple[str, ...]], Form] = field(default_factory=dict)


def shape(address: str) -> tuple[str, tuple[str, ...]]:
    """What addresses that differ by numbers and values only have in common: (path, names of parameters)."""
    parts = urlsplit(address)
    names = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})
    return re.sub(r"\d+", "0", parts.path), tuple(names)


def walk(
    client: httpx2.Client,
    starts: Iterable[str],
    *,
    each: int = 3,
    many: str = "",
    private: bool,
    https: bool = False,
) -> Walked:
    """Every page that leads from `starts` by links, up to `each` of a shape; all of those whose path begins
    with `many`. Nothing is sent but GET."""
    walked, counts = Walked(), dict[tuple[str, tuple[str, ...]], int]()
    waiting = list(dict.fromkeys(starts))
    known = set(waiting)
    while waiting:
        address = waiting.pop(0)
        kind = shape(address)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] > each and not (many and address.startswith(many)):
            continue
        walked.asked.setdefault(kind, address)
        seen = Seen("GET", address, client.get(address), private, https)
        walked.seen.append(seen)
        for form in forms(seen):
            walked.forms.setdefault(form.shape, form)
        for link in (
            *seen.tree.xpath("//@href | //@src | //@hx-get | //@data-href"),
            seen.header("location"),
        ):
            parts = urlsplit(urljoin(str(seen.answer.request.url), link))
            found = parts.path + (f"?{parts.query}" if parts.query else "")
            if link and f"{parts.scheme}://{parts.netloc}" == seen.origin and found not in known:
                known.add(found)
                waiting.append(found)
    return walked


def forms(seen: Seen) -> Iterator[Form]:
    """The forms of a page, one for each button that says something of its own."""
    for form in seen.tree.xpath("//form[@action] | //*[@hx-post]"):
        action = form.get("action") or form.get("hx-post")
        method = "POST" if form.get("hx-post") else (form.get("method") or "get").upper()
        inside = form.xpath("ancestor-or-self::form//*[@name] | descendant-or-self::*[@name]")
        inside += seen.tree.xpath("//*[@form=$own and @name]", own=form.get("id") or "-")
        values: dict[str, str] = {}
        for part in (part for part in inside if part.tag in ("input", "textarea", "select")):
            chosen = part.xpath("./option[@selected]") or part.xpath("./option")
            value = chosen[-1].get("value", chosen[-1].text) if chosen else part.get("value") or part.text
            values.setdefault(part.get("name"), value or "")
        yield Form(method, action, values)
        for button in form.xpath(".//button[@name or @formaction]"):
            named = {button.get("name"): button.get("value") or ""} if button.get("name") else {}
            yield Form(method, button.get("formaction") or action, {**values, **named})
