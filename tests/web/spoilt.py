"""A site with one fault on each page: what the scan must find on it, and that it finds nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from starlette.types import Receive, Scope, Send

from tests.kit.attacks import PRODUCT

GOOD = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cache-control": "no-store",
    "strict-transport-security": "max-age=31536000",
}
COOKIE = "a=b; HttpOnly; Secure; SameSite=Lax; Path=/"
NONE_LIKE_IT = GOOD["content-security-policy"]


@dataclass(frozen=True)
class Spoilt:
    """A page: what stands on it, and its headers but for those that are None. `found` are the rules' numbers."""

    found: set[str]
    body: str = "<p>Good.</p>"
    headers: dict[str, str | None] = field(default_factory=dict)
    status: int = 200


PAGES: dict[str, Spoilt] = {
    "good": Spoilt(set(), headers={"set-cookie": COOKIE}),
    "no-policy": Spoilt({"10038", "10020"}, headers={"content-security-policy": None}),
    "inline": Spoilt(
        {"10055"}, headers={"content-security-policy": NONE_LIKE_IT.replace("'self';", "'unsafe-inline';")}
    ),
    "wide": Spoilt({"10055"}, headers={"content-security-policy": NONE_LIKE_IT.replace("'none'; s", "*; s")}),
    "handler": Spoilt({"10055"}, "<p onclick='go()'>Go</p>"),
    "sniffed": Spoilt({"10021"}, headers={"x-content-type-options": None}),
    "framed": Spoilt({"10020"}, headers={"x-frame-options": "ALLOW"}),
    "referrer": Spoilt({"10025"}, headers={"referrer-policy": "unsafe-url"}),
    "camera": Spoilt({"10063"}, headers={"permissions-policy": "camera=*"}),
    "opener": Spoilt({"90004"}, headers={"cross-origin-opener-policy": None}),
    "read-by-all": Spoilt({"10098"}, headers={"access-control-allow-origin": "*"}),
    "plain": Spoilt({"10035"}, headers={"strict-transport-security": None}),
    "server": Spoilt({"10036"}, headers={"x-powered-by": "PHP/5.2"}),
    "kept": Spoilt({"10015"}, headers={"cache-control": "public"}),
    "what": Spoilt({"10019"}, headers={"content-type": None}),
    "latin": Spoilt({"90011"}, headers={"content-type": "text/html; charset=iso-8859-1"}),
    "basic": Spoilt({"10105"}, headers={"www-authenticate": "Basic realm=x"}, status=401),
    "script-cookie": Spoilt({"10010"}, headers={"set-cookie": COOKIE.replace("HttpOnly; ", "")}),
    "open-cookie": Spoilt({"10011"}, headers={"set-cookie": COOKIE.replace("Secure; ", "")}),
    "any-site-cookie": Spoilt({"10054"}, headers={"set-cookie": COOKIE.replace("Lax", "None")}),
    "wide-cookie": Spoilt({"90033"}, headers={"set-cookie": COOKIE + "; Domain=example.com"}),
    "traceback": Spoilt({"10023"}, "<pre>Traceback (most recent call last):</pre>"),
    "broken": Spoilt({"90022"}, status=500),
    "inside": Spoilt({"2"}, "<p>asks 192.168.7.1</p>"),
    "comment": Spoilt({"10027"}, "<p><!-- TODO: the password is still in here --></p>"),
    "card": Spoilt({"10062"}, "<p>paid with 4111 1111 1111 1111</p>"),
    "no-card": Spoilt(set(), "<p>order 4111 1111 1111 1112</p>"),
    "hash": Spoilt({"10097"}, "<p>$argon2id$v=19$m=65536$abc</p>"),
    "source": Spoilt({"10099"}, "<p>{% if user %}</p>"),
    "foreign": Spoilt(
        {"10017", "90003"}, "<script nonce=a src='https://cdn.example/x.js'></script>"
    ),
    "hashed": Spoilt({"10017"}, "<script nonce=a integrity=sha256-x src='https://cdn.example/x.js'></script>"),
    "mixed": Spoilt({"10040"}, "<img alt='' src='http://img.example/x.png'>"),
    "tab": Spoilt({"10108"}, "<a target=_blank href='https://www.example/'>there</a>"),
    "no-token": Spoilt({"10202"}, "<form method=post action=/x><button>Go</button></form>"),
    "token": Spoilt(set(), "<form method=post action=/x><input name=csrf value=y></form>"),
    "told": Spoilt({"10024"}, "<a href='/x?token=abc'>there</a>"),
    "get-password": Spoilt(
        {"10024"}, "<form action=/x><input type=password name=p autocomplete=off></form>"
    ),
    "password": Spoilt(
        {"10012"}, "<form method=post action=/x><input name=csrf value=y><input type=password name=p></form>"
    ),
    "away": Spoilt({"20019"}, headers={"location": "https://www.example/"}, status=302),
}  # fmt: skip

WEAK: dict[str, str] = {
    "markup": "40012", "address": "10031", "template": "90035", "header": "40003", "file": "6", "sql": "40018",
    "away": "20019", "nul": "90022", "step/1": "10023",
}  # fmt: skip
"""What gives way on /weak/NAME?q=…, by the rule that must say so."""


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """/PAGE for each page above, /weak/NAME, and /form, which takes everything from everywhere."""
    path, page = scope["path"], PAGES["good"]
    if path == "/form":
        body = "<form method=post action=/form><input name=csrf value=y><input name=text value=z></form>"
        page = Spoilt(set(), body)
    elif path == "/over":
        page = Spoilt(set(), headers={"location": "/login?next=/"}, status=303)
    elif path.startswith("/weak/"):
        given = parse_qs(scope["query_string"].decode("ascii"), encoding="utf-8", errors="replace").get(
            "q", [""]
        )[0]
        page = _weak(path.removeprefix("/weak/"), given)
    elif path.removeprefix("/") in PAGES:
        page = PAGES[path.removeprefix("/")]
    named = {"set-cookie": COOKIE} if path == "/good" else {}
    headers = {**GOOD, **named, **page.headers}
    await send(
        {
            "type": "http.response.start",
            "status": page.status,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items() if v is not None],
        }
    )
    text = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Spoilt</title><body>{page.body}</body></html>'
    await send({"type": "http.response.body", "body": text.encode("utf-8", "replace")})


def _weak(name: str, given: str) -> Spoilt:
    match name:
        case "markup":
            return Spoilt(set(), f"<p>{given}</p>")
        case "address":
            return Spoilt(set(), f"<a href='{given.partition(chr(39))[0]}'>there</a>")
        case "template" if "7331*7331" in given:
            return Spoilt(set(), f"<p>{PRODUCT}</p>")
        case "header" if "\r\nx-zq" in given:  # the server would refuse it raw
            return Spoilt(set(), headers={"x-zq": "1"})
        case "file" if "etc/passwd" in given:
            return Spoilt(set(), "<p>root:x:0:0:root:/root:/bin/sh</p>")
        case "sql" if "'" in given:
            return Spoilt(set(), '<p>syntax error at or near "OR"</p>')
        case "away" if given.startswith("//"):
            return Spoilt(set(), headers={"location": given.partition("%")[0]}, status=302)
        case "nul" if "\x00" in given:
            return Spoilt(set(), status=500)
        case _ if not name.partition("/")[2].isdigit() and name.startswith("step/"):
            return Spoilt(set(), f"<p>ValueError: invalid literal {unquote(name)!r}</p>")
    return Spoilt(set())
