"""One request over HTTP to an address that a team set: bounded in time, no redirects, no private address.

The address is resolved anew for each request and checked, and what was checked is what is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pipeline.accounts.deadline import Deadline
from pipeline.delivery.outcomes import Permanent, Temporary, Uncertain, plain
from pipeline.errors import ConfigError

MAX_ANSWER_BYTES = 2_000
TIMEOUT_S = 20.0


_WRAPPING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""IPv6 addresses whose last 32 bits are an IPv4 address (RFC 6052; RFC 4291, 2.5.5.1)."""
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""Each network's own translation, RFC 8215; not every Python counts it as private."""


@dataclass(frozen=True)
class Answer:
    """What came back; `words` are the status and the start of the body, fit to be stored and shown."""

    status: int
    words: str


@dataclass(frozen=True)
class Address:
    """An https address, read by `Address.read`. `allow_private` lets it be http, or in our own network."""

    url: str
    host: str
    port: int
    allow_private: bool = False
    timeout_s: float = field(default=TIMEOUT_S)

    @classmethod
    def read(cls, url: str, what: str, *, allow_private: bool, timeout_s: float = TIMEOUT_S) -> Address:
        """Raises `ConfigError`; `what` names the setting."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{what} is not an address: {error}") from None
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.fragment:
            raise ConfigError(f"{what} is written like https://host/path")
        if parts.scheme == "http" and not allow_private:
            raise ConfigError(f"{what} begins with https://; plain http only with allow_private = true")
        usual = 443 if parts.scheme == "https" else 80
        return cls(url, parts.hostname, port or usual, allow_private, timeout_s)

    def request(
        self, method: str, body: bytes, headers: Mapping[str, str], *, where: str, url: str | None = None
    ) -> Answer | Temporary | Permanent | Uncertain:
        """One request, to `url` on the same host or to the address itself.

        Before the connection stands, a failure is `Temporary`; after it, no answer is `Uncertain`.
        """
        with Deadline(self.timeout_s) as deadline:
            try:
                found = self.resolve()
            except OSError as error:
                return Temporary(plain(f"{where} has no address: {error.strerror or error}"))
            refused = [each for each in found if not (self.allow_private or public(each))]
            if refused:
                return Permanent(f"{where} resolves to {refused[0]}, which is not on the public network")
            return self._request(method, found[0], body, headers, where, url or self.url, deadline)

    def check(self, where: str) -> str:
        """That the name resolves to where a request may go; asks nobody there. Raises `ConfigError`."""
        try:
            found = self.resolve()
        except OSError as error:
            raise ConfigError(plain(f"{where} has no address: {error.strerror or error}")) from None
        for each in found:
            if not (self.allow_private or public(each)):
                raise ConfigError(f"{where} resolves to {each}, which is not on the public network")
        return f"{where} ({found[0]}); tried with the first reply"

    def resolve(self) -> list[str]:
        """The addresses that the name has now. Raises `OSError`."""
        rows = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(row[4][0]) for row in rows))

    def _request(
        self,
        method: str,
        address: str,
        body: bytes,
        headers: Mapping[str, str],
        where: str,
        url: str,
        deadline: Deadline,
    ) -> Answer | Temporary | Uncertain:
        import httpx2

        # the address that was checked is the one that is connected to: no second look-up in between
        target = httpx2.URL(url).copy_with(host=address)
        sent = {"host": self._host_header(), "accept-encoding": "identity", "user-agent": "triage", **headers}
        extensions = {"trace": deadline.trace, "sni_hostname": self.host}
        answer, status = bytearray(), 0
        try:
            with (
                httpx2.Client(follow_redirects=False, trust_env=False, timeout=self.timeout_s) as client,
                client.stream(method, target, content=body, headers=sent, extensions=extensions) as response,
            ):
                status = response.status_code
                for piece in response.iter_raw():
                    answer += piece
                    if len(answer) > MAX_ANSWER_BYTES:
                        break
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return Temporary(plain(f"{where} cannot be reached: {self._lost(error, deadline)}"))
        except (httpx2.HTTPError, OSError) as error:
            if not status:
                return Uncertain(
                    plain(f"{where} was asked and did not answer: {self._lost(error, deadline)}")
                )
            # it has answered; that the rest of its words is missing changes nothing
        return Answer(status, plain(f"{status} {bytes(answer[:200]).decode('utf-8', 'replace')}"))

    def _host_header(self) -> str:
        usual = 443 if self.url.startswith("https:") else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"

    def _lost(self, error: BaseException, deadline: Deadline) -> str:
        import httpx2

        if deadline.passed or isinstance(error, httpx2.TimeoutException):
            return f"no end within {self.timeout_s:g} s"
        return str(error) or type(error).__name__


def public(address: str) -> bool:
    """Whether an address is on the public network; one wrapped in IPv6 counts as what is inside."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and any(ip in network for network in _WRAPPING):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if ip.is_site_local or ip in _LOCAL_NAT64:
            return False
    return ip.is_global and not ip.is_multicast
