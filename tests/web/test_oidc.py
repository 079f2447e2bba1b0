"""Single sign-on against a real OpenID Connect provider on loopback."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import sqlalchemy as sa

from pipeline.assembly import single_sign_on
from pipeline.db.store import Store
from pipeline.db.tables import agents
from pipeline.errors import ConfigError
from pipeline.review import audit, identities, sessions
from pipeline.review.agents import add, disable, set_password
from pipeline.review.oidc import KEYS_AGAIN_S, SingleSignOn
from pipeline.review.totp import SecondFactors, code_at
from pipeline.settings import load
from tests.kit import oidc_server
from tests.kit.oidc_server import CLIENT, SECRET, OidcProvider, new_key
from tests.web import running

CALLBACK = "http://127.0.0.1:1/oidc/callback"
PASSWORD = "correct horse battery"


@dataclass
class Site:
    """A served app with single sign-on; `seconds` is its clock."""

    url: str
    store: Store
    seconds: float = 0.0

    def browser(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"accept": "text/html"}, timeout=20)


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_server.provider() as running_provider:
        yield running_provider


@pytest.fixture
def site(sqlite_store: Store, provider: OidcProvider) -> Iterator[Site]:
    here = Site("", sqlite_store)
    sso = SingleSignOn(
        "k" * 32, issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET, redirect_uri=CALLBACK,
        label="Shop login", clock=lambda: here.seconds,
    )  # fmt: skip
    factors = SecondFactors(sqlite_store, "k" * 32)
    with running.serving(
        running.parts_for(sqlite_store, single_sign_on=sso, second_factors=factors)
    ) as here.url:
        yield here


def answer_of(browser: httpx2.Client, next: str = "/") -> str:
    """Go to the provider, agree there, and return the address of ours that it sends the browser to."""
    begun = browser.get("/oidc/start", params={"next": next})
    assert begun.status_code == 303, begun.text
    back = httpx2.get(begun.headers["location"])
    assert back.status_code == 303
    assert back.headers["location"].startswith(CALLBACK)
    return f"/oidc/callback?{urlsplit(back.headers['location']).query}"


def log_in(browser: httpx2.Client, next: str = "/") -> httpx2.Response:
    return browser.get(answer_of(browser, next))


def entered(browser: httpx2.Client, answer: httpx2.Response) -> bool:
    return answer.status_code == 303 and browser.get("/account").status_code == 200


def bound(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as c:
        return [(r.email, r.oidc_subject) for r in c.execute(sa.select(agents).order_by(agents.c.email))]


def test_the_first_log_in_of_somebody_invited_binds_the_account_to_the_subject(
    site: Site, provider: OidcProvider
) -> None:
    add(site.store, "anna@shop.example", "agent")
    provider.email = "Anna@Shop.example"
    with site.browser() as browser:
        assert "Log in with Shop login" in browser.get("/login").text
        answer = log_in(browser, "/tickets/7?back=%2F")
        assert answer.headers["location"] == "/tickets/7?back=%2F"
        assert entered(browser, answer)
        assert "triage_sso" not in browser.cookies
    assert bound(site.store) == [("anna@shop.example", "sub-1")]
    assert "connected single sign-on" in [what for _at, _who, what, *_ in audit.newest(site.store)]
    provider.email = "anna.new@elsewhere.example"
    with site.browser() as browser:
        assert entered(browser, log_in(browser))
    provider.subject, provider.email = "sub-2", "anna@shop.example"  # the address was given to somebody else
    with site.browser() as browser:
        answer = log_in(browser)
        assert answer.status_code == 403
        assert not entered(browser, answer)


def test_an_account_in_use_is_not_taken_over_by_its_address(site: Site) -> None:
    agent = add(site.store, "anna@shop.example", "admin")
    set_password(site.store, agent.id, PASSWORD)
    with site.browser() as browser:
        assert log_in(browser).status_code == 403
    assert bound(site.store) == [("anna@shop.example", None)]
    sessions.make_link(site.store, agent, "reset")  # an admin invites them to connect it
    with site.browser() as browser:
        assert entered(browser, log_in(browser))


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_the_provider_does_not_vouch_for_opens_nothing(
    site: Site, provider: OidcProvider, verified: object
) -> None:
    add(site.store, "anna@shop.example", "agent")
    provider.email_verified = verified
    with site.browser() as browser:
        answer = log_in(browser)
        assert answer.status_code == 403
        assert "ask an admin for an invitation" in answer.text
    assert bound(site.store) == [("anna@shop.example", None)]


def test_nobody_without_an_account_and_nobody_disabled_gets_in(site: Site, provider: OidcProvider) -> None:
    provider.email = "stranger@shop.example"
    with site.browser() as browser:
        assert log_in(browser).status_code == 403
    add(site.store, "anna@shop.example", "agent")
    provider.email = "anna@shop.example"
    with site.browser() as browser:
        assert entered(browser, log_in(browser))
        disable(site.store, "anna@shop.example")
        assert browser.get("/account").status_code == 303
    with site.browser() as browser:
        assert log_in(browser).status_code == 403


Lie = Callable[[OidcProvider], dict[str, Any]]
LIES: dict[str, Lie] = {
    "another issuer": lambda p: {"claims": {"iss": "https://evil.example"}},
    "another client's token": lambda p: {"claims": {"aud": "other"}},
    "several audiences and no party": lambda p: {"claims": {"aud": [CLIENT, "other"]}},
    "another party": lambda p: {"claims": {"aud": [CLIENT, "other"], "azp": "other"}},
    "another log-in's nonce": lambda p: {"claims": {"nonce": "n"}},
    "no nonce": lambda p: {"claims": {"nonce": None}},
    "expired": lambda p: {"claims": {"exp": 1_700_000_000, "iat": 1_699_999_000}},
    "no expiry": lambda p: {"claims": {"exp": None}},
    "from the future": lambda p: {"claims": {"iat": 4_000_000_000, "exp": 4_000_000_300}},
    "no subject": lambda p: {"claims": {"sub": None}},
    "an empty subject": lambda p: {"claims": {"sub": ""}},
    "another access token": lambda p: {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
    "unsigned": lambda p: {"unsigned": True},
    "signed by a stranger": lambda p: {"signed_by": new_key("first")},
    "an unknown key": lambda p: {"signed_by": new_key("x"), "header": {"kid": "x"}},
    "HMAC with the client's secret": lambda p: {"hmac_key": SECRET.encode()},
    "HMAC with the public key": lambda p: {"hmac_key": p.key.as_pem(private=False)},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_an_id_token_that_does_not_hold_opens_nothing(site: Site, provider: OidcProvider, lie: str) -> None:
    add(site.store, "anna@shop.example", "agent")
    for name, value in LIES[lie](provider).items():
        setattr(provider, name, value)
    with site.browser() as browser:
        answer = log_in(browser)
        assert answer.status_code == 403, lie
        assert "does not hold" in answer.text
        assert not entered(browser, answer)
    assert bound(site.store) == [("anna@shop.example", None)]


def test_an_answer_is_good_only_in_the_browser_that_asked_and_only_once(
    site: Site, provider: OidcProvider
) -> None:
    add(site.store, "anna@shop.example", "agent")
    with site.browser() as mine, site.browser() as other:
        answer = answer_of(mine)
        assert other.get(answer).status_code == 403  # no log-in was begun there
        answer_of(other)
        assert other.get(answer).status_code == 403  # another log-in was
        kept = mine.cookies["triage_sso"]
        assert entered(mine, mine.get(answer))
        with site.browser() as thief:
            thief.cookies.set("triage_sso", kept)
            assert thief.get(answer).status_code == 403  # the code is spent
            thief.cookies.set("triage_sso", kept[:-4] + "AAAA")
            assert thief.get(answer).status_code == 403
    assert all(form["code_verifier"] for form in provider.forms)


def test_a_mixed_up_or_refused_log_in_is_a_plain_line(site: Site, provider: OidcProvider) -> None:
    for said in ({"iss": "https://evil.example"}, {"error": "access_denied", "code": ""}):
        provider.answer = said
        with site.browser() as browser:
            answer = log_in(browser)
            assert answer.status_code == 403
            assert 'role="alert"' in answer.text
    assert not provider.forms


def test_new_keys_of_the_provider_are_read_but_not_at_every_call(site: Site, provider: OidcProvider) -> None:
    add(site.store, "anna@shop.example", "agent")
    with site.browser() as browser:
        assert entered(browser, log_in(browser))
    provider.key = new_key("second")
    with site.browser() as browser:
        assert log_in(browser).status_code == 403
        assert provider.key_reads == 1
        site.seconds += KEYS_AGAIN_S
        assert entered(browser, log_in(browser))
    assert provider.key_reads == 2


def test_the_address_may_come_by_userinfo_for_the_same_subject_only(
    site: Site, provider: OidcProvider
) -> None:
    add(site.store, "anna@shop.example", "agent")
    provider.in_userinfo, provider.userinfo = True, {"sub": "somebody else"}
    with site.browser() as browser:
        assert log_in(browser).status_code == 403
        provider.userinfo = {}
        assert entered(browser, log_in(browser))


def test_a_client_that_must_post_its_secret_does(site: Site, provider: OidcProvider) -> None:
    add(site.store, "anna@shop.example", "agent")
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    with site.browser() as browser:
        assert entered(browser, log_in(browser))
    assert provider.forms[0]["client_secret"] == SECRET


@pytest.mark.parametrize(
    "fault", [{"down": True}, {"raw": b"<html>"}, {"raw": b"[]"}, {"raw": b"x" * 1_000_001},
              {"metadata": {"issuer": "https://other.example"}},
              {"metadata": {"authorization_endpoint": "http://plain.example/authorize"}}],
)  # fmt: skip
def test_a_provider_that_is_away_or_wrong_leaves_the_password_log_in(
    site: Site, provider: OidcProvider, fault: dict[str, Any]
) -> None:
    for name, value in fault.items():
        setattr(provider, name, value)
    with site.browser() as browser:
        answer = browser.get("/oidc/start")
        assert answer.status_code == 503
        assert "the log says why" in answer.text
        assert 'action="/login"' in answer.text


def test_the_log_in_leads_to_pages_of_ours_only(site: Site) -> None:
    add(site.store, "anna@shop.example", "agent")
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example"):
        with site.browser() as browser:
            assert log_in(browser, elsewhere).headers["location"] == "/"


def test_a_second_factor_is_asked_for_after_single_sign_on_too(site: Site) -> None:
    agent = add(site.store, "anna@shop.example", "agent")
    at = [1_000_000.0]
    factors = SecondFactors(site.store, "k" * 32, clock=lambda: at[0])
    factors.begin(agent)
    factors.confirm(agent, _code(factors, agent, at[0]), "1.1.1.1", session_hash="")
    with site.browser() as browser:
        answer = log_in(browser)
        assert answer.status_code == 200
        assert 'action="/login/code"' in answer.text
        assert browser.get("/account").status_code == 303


def test_a_forgotten_connection_is_made_anew_by_an_invitation(site: Site, provider: OidcProvider) -> None:
    agent = add(site.store, "anna@shop.example", "agent")
    with site.browser() as browser:
        assert entered(browser, log_in(browser))
        assert identities.unbind(site.store, agent.email)
        assert browser.get("/account").status_code == 303
    assert not identities.unbind(site.store, agent.email)
    provider.subject = "sub-of-the-new-provider"
    with site.browser() as browser:
        assert entered(browser, log_in(browser))


def test_without_a_provider_there_is_no_such_page(sqlite_store: Store) -> None:
    with running.serving(running.parts_for(sqlite_store)) as url:
        assert "/oidc/start" not in httpx2.get(f"{url}/login").text
        for path in ("/oidc/start", "/oidc/callback"):
            assert httpx2.get(url + path).status_code == 404


def test_the_settings_make_the_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIAGE_HOME", str(tmp_path))
    assert single_sign_on(load()) is None
    monkeypatch.setenv("TRIAGE_OIDC_ISSUER", "https://login.example.com")
    with pytest.raises(ConfigError, match="TRIAGE_OIDC_CLIENT_ID"):
        single_sign_on(load())
    monkeypatch.setenv("TRIAGE_OIDC_CLIENT_ID", "triage")
    monkeypatch.setenv("TRIAGE_OIDC_LABEL", "Shop login")
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.setenv("TRIAGE_OIDC_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    settings = load()
    assert settings.oidc_client_secret is not None
    assert settings.oidc_client_secret.get_secret_value() == "s3cret"
    made = single_sign_on(settings)
    assert made is not None
    assert made.label == "Shop login"
    for name, value in (
        ("PUBLIC_URL", "http://triage.example.com"),
        ("OIDC_ISSUER", "http://login.example.com"),
    ):
        with monkeypatch.context() as wrong:
            wrong.setenv(f"TRIAGE_{name}", value)
            with pytest.raises(ConfigError, match=f"TRIAGE_{name} must be an https"):
                single_sign_on(load())


def _code(factors: SecondFactors, agent: Any, at: float) -> str:
    begun = factors.begun(agent)
    assert begun is not None
    return code_at(base64.b32decode(begun.secret), int(at) // 30)
