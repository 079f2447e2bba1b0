"""OAuth2 logins of mailboxes: where each provider answers, an access token when one is needed, refreshed in time.

How a login is made stands in `oauth_login`. No token and no secret ever stands in a log line, an error or a
repr.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog

from pipeline.db import oauth_tokens
from pipeline.db.store import Store
from pipeline.db.types import now
from pipeline.errors import ConfigError, UnreachableError
from pipeline.ingest.inboxes import ImapInbox
from pipeline.ingest.oauth_table import OAuth

log = structlog.get_logger(__name__)

MARGIN_S = 300.0
"""An access token is renewed this long before its end, or at half its life where that is shorter."""

TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 200_000
TOKEN = re.compile(r"[\x21-\x7e]+")
"""What a token may hold: anything else would end the IMAP argument that it stands in."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider answers, and what it wants to be asked. `device_url` or `authorize_url` may be missing;
    `prefers` is the flow that works without being asked for by name."""

    token_url: str
    device_url: str | None
    authorize_url: str | None
    scopes: tuple[str, ...]
    prefers: str
    redirect_host: str = "127.0.0.1"
    authorize_more: Mapping[str, str] = field(default_factory=dict)


def endpoints(oauth: OAuth) -> Endpoints:
    """The provider's own addresses and scopes, with those that inboxes.toml sets in their place."""
    if oauth.provider == "google":
        # Google's device flow gives no mail scope, so only a code brings one; a refresh token comes with
        # the first consent only, unless consent is asked for anew.
        known = Endpoints(
            token_url="https://oauth2.googleapis.com/token",  # noqa: S106  # an address
            device_url="https://oauth2.googleapis.com/device/code",
            authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
            scopes=("https://mail.google.com/",),
            prefers="code",
            authorize_more={"access_type": "offline", "prompt": "consent"},
        )
    elif oauth.provider == "microsoft":
        base = f"https://login.microsoftonline.com/{oauth.tenant}/oauth2/v2.0"
        known = Endpoints(
            token_url=f"{base}/token",
            device_url=f"{base}/devicecode",
            authorize_url=f"{base}/authorize",
            scopes=("https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"),
            prefers="device",
            redirect_host="localhost",  # the one name for which Microsoft takes any port
        )
    else:
        known = Endpoints("", None, None, (), "device" if oauth.device_url else "code")
    return Endpoints(
        token_url=oauth.token_url or known.token_url,
        device_url=oauth.device_url or known.device_url,
        authorize_url=oauth.authorize_url or known.authorize_url,
        scopes=oauth.scopes or known.scopes,
        prefers=known.prefers,
        redirect_host=known.redirect_host,
        authorize_more=known.authorize_more,
    )


def scopes(inbox: ImapInbox) -> tuple[str, ...]:
    """What a login of this inbox is asked for: its mailbox, and sending where its replies go out by it."""
    oauth = oauth_of(inbox)
    known = endpoints(oauth).scopes
    if inbox.send.oauth and oauth.provider == "microsoft" and not oauth.scopes:
        return ("https://outlook.office.com/SMTP.Send", *known)  # Google's one scope is for all of mail
    return known


def oauth_of(inbox: ImapInbox) -> OAuth:
    """The inbox's oauth table. Raises `ConfigError` where it signs in by password."""
    if inbox.oauth is None:
        raise ConfigError(f"inboxes.toml: inbox.{inbox.name} has no oauth table; it signs in by its password")
    return inbox.oauth


@dataclass(frozen=True, slots=True)
class Login:
    """What a login brought; it belongs to one client at one token address."""

    client_id: str
    token_url: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    refresh_at: datetime
    expires_at: datetime

    def to_text(self) -> str:
        values = {name: getattr(self, name) for name in self.__slots__}
        for name in ("refresh_at", "expires_at"):
            values[name] = values[name].isoformat()
        return json.dumps(values)

    @classmethod
    def from_text(cls, text: str) -> Login:
        values = json.loads(text)
        for name in ("refresh_at", "expires_at"):
            values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


class LoginEnded(ConfigError):
    """The provider does not take the refresh token any more: a person logs in again."""


class AccessTokens(Protocol):
    """Where an inbox's access token comes from."""

    def access_token(self, inbox: ImapInbox, *, refused: str | None = None) -> str:
        """A token that holds for some minutes yet, and is another than the one that was refused."""
        ...


class Tokens:
    """The logins of a store. Threads may share it; each inbox is refreshed by one at a time."""

    def __init__(self, store: Store, secret_key: str, *, clock: Callable[[], datetime] = now) -> None:
        self._store = store
        self._secret_key = secret_key
        self._clock = clock
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def access_token(self, inbox: ImapInbox, *, refused: str | None = None) -> str:
        """See `AccessTokens`. Raises `ConfigError` (no login, or one that ended; the text says what to run),
        `UnreachableError` (the provider does not answer, and the token at hand is over)."""
        with self._guard:
            lock = self._locks.setdefault(inbox.name, threading.Lock())
        with lock:
            kept, login = self._present(inbox)
            if login.access_token != refused and self._clock() < login.refresh_at:
                return login.access_token
            return self._renewed(inbox, kept, login, refused).access_token

    def keep(self, inbox: ImapInbox, login: Login) -> None:
        """Keep a new login in place of the one before."""
        with self._store.write() as connection:
            oauth_tokens.keep(connection, self._secret_key, inbox.name, login.to_text())

    def since(self, inbox: ImapInbox) -> datetime:
        """When the login was made or last renewed. Raises `ConfigError` as `access_token`; asks nobody."""
        return self._present(inbox)[0].updated_at

    def _present(self, inbox: ImapInbox) -> tuple[oauth_tokens.Kept, Login]:
        oauth = oauth_of(inbox)
        with self._store.read() as connection:
            kept = oauth_tokens.load(connection, self._secret_key, inbox.name)
        if kept is None:
            raise ConfigError(f"inbox.{inbox.name}: no login yet; run: triage inbox login {inbox.name}")
        login = Login.from_text(kept.text)
        if (login.client_id, login.token_url) != (oauth.client_id, endpoints(oauth).token_url):
            raise ConfigError(
                f"inbox.{inbox.name}: its login was made for another client_id or provider than inboxes.toml "
                f"names now; run: triage inbox login {inbox.name}"
            )
        return kept, login

    def _renewed(self, inbox: ImapInbox, kept: oauth_tokens.Kept, login: Login, refused: str | None) -> Login:
        try:
            fresh = refresh(inbox, login, clock=self._clock)
        except LoginEnded:
            # Where refresh tokens work once, another process may have been faster: then its login stands here.
            again, other = self._present(inbox)
            if again.ciphertext != kept.ciphertext and other.access_token != refused:
                return other
            raise
        except UnreachableError:
            if login.access_token != refused and self._clock() < login.expires_at - timedelta(seconds=30):
                log.warning("the access token could not be renewed in time; it holds yet", inbox=inbox.name)
                return login
            raise
        with self._store.write() as connection:
            kept_it = oauth_tokens.replace(
                connection, self._secret_key, inbox.name, fresh.to_text(), instead_of=kept.ciphertext
            )
        if not kept_it:  # a person logged in anew meanwhile, or another process renewed it: theirs stays
            return self._present(inbox)[1]
        log.info("access token renewed", inbox=inbox.name)
        return fresh


def refresh(inbox: ImapInbox, login: Login, *, clock: Callable[[], datetime] = now) -> Login:
    """The login with a new access token. Raises `LoginEnded`, `ConfigError` or `UnreachableError`."""
    answer = ask(inbox, {"grant_type": "refresh_token", "refresh_token": login.refresh_token})
    if answer.error == "invalid_grant":
        raise LoginEnded(
            f"inbox.{inbox.name}: {answer.host} takes its login no longer (revoked, or unused too long); "
            f"run: triage inbox login {inbox.name}"
        )
    return granted(inbox, answer, clock=clock, before=login)


def granted(
    inbox: ImapInbox, answer: Answer, *, clock: Callable[[], datetime] = now, before: Login | None = None
) -> Login:
    """The login that an answer of the token address brings; `before` is the one that was renewed."""
    if answer.error is not None:
        raise refusal(inbox, answer)
    oauth, said = oauth_of(inbox), answer.said
    access = said.get("access_token")
    renewal = said.get("refresh_token") or (before.refresh_token if before else None)
    kind = str(said.get("token_type", "bearer")).lower()
    if not isinstance(access, str) or not TOKEN.fullmatch(access) or kind != "bearer":
        raise UnreachableError(f"inbox.{inbox.name}: {answer.host} answered without a bearer token")
    if not isinstance(renewal, str):
        raise ConfigError(
            f"inbox.{inbox.name}: {answer.host} gave a token that cannot be renewed; see scopes in inboxes.toml "
            '(many providers want "offline_access" among them)'
        )
    missing = set(scopes(inbox)) - set(str(said.get("scope", "")).split())
    if oauth.provider == "google" and "scope" in said and missing:  # each can be left unticked there
        raise ConfigError(
            f"inbox.{inbox.name}: the login does not allow {', '.join(sorted(missing))}; run again and tick it: "
            f"triage inbox login {inbox.name}"
        )
    try:
        lifetime_s = min(max(float(said.get("expires_in") or 600), 1.0), 30 * 86_400.0)
    except (TypeError, ValueError):
        lifetime_s = 600.0
    at = clock()
    return Login(
        client_id=oauth.client_id,
        token_url=endpoints(oauth).token_url,
        access_token=access,
        refresh_token=renewal,
        refresh_at=at + timedelta(seconds=max(lifetime_s - MARGIN_S, lifetime_s / 2)),
        expires_at=at + timedelta(seconds=lifetime_s),
    )


# --- one question ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What an OAuth2 address said: `error` is the protocol's word, `words` the provider's sentence for it."""

    host: str
    error: str | None
    words: str
    said: Mapping[str, Any] = field(repr=False)


def ask(inbox: ImapInbox, form: Mapping[str, str], *, url: str | None = None) -> Answer:
    """Post a form with the client's id and secret, to the token address by default. Raises `UnreachableError`
    where no answer in the protocol's terms comes back."""
    oauth = oauth_of(inbox)
    url = url or endpoints(oauth).token_url
    sent = {**form, "client_id": oauth.client_id}
    secret = inbox.client_secret()
    if secret is not None:
        sent["client_secret"] = secret
    where = f"inbox.{inbox.name}: {_host(url)}"
    status, body = _post(where, url, sent)
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, Mapping) or (status != 200 and "error" not in said):
        raise UnreachableError(f"{where} answered {status}, not as OAuth2 does; see oauth in inboxes.toml")
    if status == 429 or status >= 500:
        raise UnreachableError(f"{where} answered {status}; it is tried again")
    if "error" not in said:
        return Answer(_host(url), None, "", said)
    words = " ".join(str(said.get("error_description", "")).split())
    for name, value in sent.items():
        if name not in ("client_id", "grant_type", "scope") and value:
            words = words.replace(value, "…")
    return Answer(_host(url), str(said["error"])[:80], words[:300], said)


def refusal(inbox: ImapInbox, answer: Answer) -> ConfigError:
    """An error of the protocol in plain words, with the mend."""
    mend = {
        "invalid_client": "see client_id and client_secret in its oauth table",
        "unauthorized_client": "see client_id, and whether this client may use this way of logging in",
        "unsupported_grant_type": "see whether this client may use this way of logging in",
        "invalid_scope": "see scopes in its oauth table",
        "invalid_grant": f"run again: triage inbox login {inbox.name}",
    }.get(answer.error or "", "see its oauth table in inboxes.toml")
    said = f" ({answer.words})" if answer.words else ""
    return ConfigError(f"inbox.{inbox.name}: {answer.host} refuses with {answer.error}{said}; {mend}")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _post(where: str, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
    """Status and body of one POST, bounded in time and size. Redirects are not followed: a form with secrets
    goes to no address that inboxes.toml does not name."""
    import httpx2

    from pipeline.accounts.deadline import Deadline

    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "triage"}
    body = bytearray()
    with Deadline(TIMEOUT_S) as deadline:
        try:
            with (
                httpx2.Client(follow_redirects=False, trust_env=False, timeout=TIMEOUT_S) as client,
                client.stream(
                    "POST", url, headers=headers, data=dict(form), extensions={"trace": deadline.trace}
                ) as response,
            ):
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise UnreachableError(f"{where} answered more than {MAX_ANSWER_BYTES} bytes")
                return response.status_code, bytes(body)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            if deadline.passed or isinstance(error, httpx2.TimeoutException):
                raise UnreachableError(f"{where} did not answer within {TIMEOUT_S:g} s") from error
            raise UnreachableError(
                f"{where} cannot be reached: {str(error) or type(error).__name__}"
            ) from error
