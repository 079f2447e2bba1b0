"""What every request passes first: security headers, a limit on the body, and where changes may come from."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Shield:
    """ASGI middleware. Webhooks have their own limit and their own proof of origin, see `web.doors`."""

    def __init__(self, app: ASGIApp, *, https: bool, limit_bytes: int) -> None:
        self.app = app
        self.https = https
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(MutableHeaders(scope=message), scope["path"], nonce)
            await send(message)

        limited = receive if scope["path"].startswith("/webhooks/") else self._limited(scope, receive)
        await self.app(scope, limited, send_with_headers)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        taken = 0
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdecimal() and int(announced[:18]) > self.limit_bytes

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if too_long or taken > self.limit_bytes:
                raise HTTPException(413, f"more than {self.limit_bytes:,} bytes are not taken here")
            return message

        return limited

    def _add_headers(self, headers: MutableHeaders, path: str, nonce: str) -> None:
        headers.setdefault(
            "content-security-policy",
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        )
        headers["x-content-type-options"] = "nosniff"
        headers["x-frame-options"] = "DENY"
        headers["referrer-policy"] = "same-origin"  # "no-referrer" would make our own forms' Origin null
        headers["cross-origin-opener-policy"] = "same-origin"
        headers["cross-origin-resource-policy"] = "same-origin"
        headers["cross-origin-embedder-policy"] = "require-corp"
        headers["permissions-policy"] = "camera=(), microphone=(), geolocation=()"
        headers.setdefault("cache-control", "no-store")
        if self.https:
            headers["strict-transport-security"] = "max-age=31536000"


def from_our_page(headers: Headers, public_url: str) -> bool:
    """Whether a change was sent by a page of ours, as far as the browser says.

    A client that says nothing (no Sec-Fetch-Site, no Origin) is let through to the CSRF token.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        given = urlsplit(origin)
    except ValueError:  # such as http://[
        return False
    if origin.rstrip("/") == _origin(public_url):
        return True
    # a proxy may turn https into http on the way here, never the other way round
    schemes = ("https",) if urlsplit(public_url).scheme == "https" else ("http", "https")
    return given.scheme in schemes and given.netloc == headers.get("host", "")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
