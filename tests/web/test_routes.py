"""Every endpoint against everybody who may come: nobody, agent, lead, admin, and a forged form.

The agent of another inbox walks the same table in `test_sight`.
"""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.routing import Route

from pipeline.db.store import Store
from pipeline.db.tables import metadata
from pipeline.review import audit, sessions
from pipeline.review.agents import make_api_token
from pipeline.web.app import create_app
from tests.web import running, seed
from tests.web.conftest import Place

OPEN_TO_ALL = {
    ("GET", "/login"), ("POST", "/login"), ("POST", "/login/code"), ("GET", "/enter/{token}"),
    ("POST", "/enter/{token}"), ("GET", "/oidc/start"), ("GET", "/oidc/callback"),
    ("POST", "/webhooks/{source}"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
    ("GET", "/api/docs"), ("GET", "/api/v1/openapi.json"),
}  # fmt: skip
ADMIN_ONLY = {("GET", "/agents")} | {
    ("POST", f"/agents{path}")
    for path in ("", "/link", "/disable", "/enable", "/role", "/inboxes", "/totp-off", "/sso-off")
}
LEADS_ONLY = {("GET", f"/evaluations{path}") for path in ("", "/run/{name}", "/compare")} | {  # and admins
    ("POST", "/reports/letters/again"),
    *(
        (method, f"/{kind}s/{{{kind}_id}}/case")
        for method in ("GET", "POST")
        for kind in ("review", "message")
    ),
    *(
        ("GET", path)
        for path in ("/proposals", "/proposals/{proposal_id}", "/routes/try", "/routes/curve.png")
    ),
    ("POST", "/proposals/{proposal_id}/{decision}"),
    ("POST", "/routes/try"),
}
NOT_THERE = {
    ("GET", "/oidc/start"): 404, ("GET", "/oidc/callback"): 404, ("GET", "/enter/{token}"): 410,
    ("GET", "/comparisons/{comparison_id}"): 404, ("GET", "/second-reads/{second_read_id}"): 404,
    ("GET", "/reports/cases"): 422, ("GET", "/reports/scorecard/{kind}/{name:path}"): 422,
    ("GET", "/reports/chart/scorecard.png"): 422, ("GET", "/reports/chart/{name}.png"): 404,
}  # fmt: skip
"""What answers so because this app has no single sign-on, no such link, nothing compared or drawn for a second
read yet, and because the walk names no figure and no scorecard that there is."""


def _flat(routes: Any) -> list[Any]:
    found = []
    for route in routes:
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", None
        )
        found += _flat(inner) if inner and not hasattr(route, "methods") else [route]
    return found


def endpoints(store: Store) -> list[tuple[str, str]]:
    found = []
    for route in _flat(create_app(running.parts_for(store)).routes):
        if isinstance(route, Route):
            found += [(method, route.path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def snapshot(store: Store) -> dict[str, int]:
    """What the tables that matter hold, to see that a refused request changed nothing."""
    with store.read() as c:
        found = {
            table.name: c.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.name not in ("login_attempts", "agent_sessions")
        }
        for column in ("version",):
            found[column] = c.execute(
                sa.select(sa.func.sum(metadata.tables["tickets"].c[column]))
            ).scalar_one()
        decided = metadata.tables["reviews"].c
        found["decided"] = c.execute(sa.select(sa.func.count()).where(decided.state != "open")).scalar_one()
        found["claimed"] = c.execute(
            sa.select(sa.func.count()).where(decided.claimed_by.is_not(None))
        ).scalar_one()
    return found


def path_of(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", template)


def test_the_walk_sees_every_endpoint(sqlite_store: Store) -> None:
    found = endpoints(sqlite_store)
    assert len(found) == len(set(found)) >= 50
    assert set(found) >= OPEN_TO_ALL | ADMIN_ONLY | LEADS_ONLY


def test_nobody_gets_in_anywhere_but_the_doors(place: Place) -> None:
    before = snapshot(place.store)
    with place.client() as client:
        for method, template in endpoints(place.store):
            if (method, template) in OPEN_TO_ALL:
                continue
            answer = client.request(
                method, path_of(template), **({"data": {"version": "1"}} if method == "POST" else {})
            )
            if template.startswith("/api/"):
                assert answer.status_code == 401, (method, template)
            else:
                assert answer.status_code == 303, (method, template)
                assert answer.headers["location"].startswith("/login"), template
    assert snapshot(place.store) == before


def test_an_agents_cookie_alone_changes_nothing(place: Place) -> None:
    """A form without the session's token, with a wrong one, from another site: each is refused."""
    before = snapshot(place.store)
    token = _csrf(place, "anna")
    with place.client("anna") as client:
        own = sessions.resume(place.store, client.cookies["triage_session"])
        assert own is not None
        for method, template in endpoints(place.store):
            if method != "POST" or (method, template) in OPEN_TO_ALL or template.startswith("/api/"):
                continue
            path = path_of(template)
            forged: list[tuple[dict[str, str], dict[str, str]]] = [
                ({"version": "1"}, {}),
                ({"version": "1", "csrf": token}, {}),  # another session's
                ({"version": "1", "csrf": own.csrf_token}, {"origin": "https://evil.example"}),
                ({"version": "1", "csrf": own.csrf_token}, {"origin": "null"}),
                ({"version": "1", "csrf": own.csrf_token}, {"sec-fetch-site": "cross-site"}),
                ({"version": "1", "csrf": own.csrf_token}, {"sec-fetch-site": "same-site"}),
            ]
            for data, headers in forged:
                assert client.post(path, data=data, headers=headers).status_code == 403, (
                    template,
                    data,
                    headers,
                )
    assert snapshot(place.store) == before


@pytest.mark.parametrize(("who", "role"), [("anna", "agent"), ("lea", "lead"), ("ada", "admin")])
def test_each_endpoint_answers_those_whose_role_it_is_for(place: Place, who: str, role: str) -> None:
    """With the session's own token each form is taken or refused for what it says, not for who sent it."""
    with place.client(who) as client:
        for method, template in endpoints(place.store):
            if (method, template) in OPEN_TO_ALL or template.startswith("/api/"):
                continue
            token, session = sessions.start(place.store, place.people[who])  # one of them logs out
            client.cookies.set("triage_session", token)
            more = {"data": {"csrf": session.csrf_token, "version": "1"}} if method == "POST" else {}
            status = client.request(method, path_of(template), **more).status_code
            forbidden = (
                ((method, template) in ADMIN_ONLY and role != "admin")
                or ((method, template) in LEADS_ONLY and role == "agent")
            )  # fmt: skip
            assert (status == 403) == forbidden, (method, template, status)
            assert status < 500, (method, template, status)
            if method == "GET" and not forbidden and (method, template) not in LEADS_ONLY:
                assert status in (200, 303, NOT_THERE.get((method, template))), (template, status)
            if template == "/account/password":
                assert client.get("/account").status_code == 200  # an empty form changed nothing


def test_an_admin_makes_accounts_and_changes_them_but_not_their_own(place: Place) -> None:
    with place.client("ada") as client:
        own = sessions.resume(place.store, client.cookies["triage_session"])
        assert own is not None

        def post(path: str, **form: str) -> int:
            return client.post(f"/agents{path}", data={"csrf": own.csrf_token} | form).status_code

        assert post("", email="new@shop.example", role="agent") == 200
        assert post("", email="new@shop.example", role="agent") == 422
        assert post("/role", email="new@shop.example", role="lead") == 303
        assert post("/role", email="new@shop.example", role="owner") == 422
        assert post("/disable", email="new@shop.example") == 303
        assert post("/enable", email="new@shop.example") == 303
        assert post("/totp-off", email="new@shop.example") == 303
        assert post("/sso-off", email="new@shop.example") == 303
        for path in ("/role", "/disable"):
            assert post(path, email="ADA@shop.example", role="agent") == 422
        for path in ("/link", "/disable", "/enable", "/role", "/totp-off", "/sso-off"):
            assert post(path, email="nobody@shop.example", role="agent") == 404, path
        page = client.get("/agents").text
    assert [(row[1], row[2], row[4]) for row in audit.newest(place.store, 5)] == [
        ("agent:ada@shop.example", "enabled the account", ""),
        ("agent:ada@shop.example", "disabled the account", ""),
        ("agent:ada@shop.example", "changed the role", "agent -> lead"),
        ("agent:ada@shop.example", "made a log-in link", "invite"),
        ("agent:ada@shop.example", "made the account", "agent"),
    ]
    assert "changed the role of new@shop.example: agent -&gt; lead" in page


def test_every_page_can_be_read_and_no_read_changes_anything(place: Place) -> None:
    before = snapshot(place.store)
    with place.client("ada") as client:
        for method, template in endpoints(place.store):
            if method != "GET" or template.startswith("/api/v1/"):
                continue
            answer = client.get(path_of(template), follow_redirects=True)
            if (method, template) not in LEADS_ONLY:  # their own tests know which runs there are
                assert answer.status_code == NOT_THERE.get((method, template), 200), template
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy, template
            assert "frame-ancestors 'none'" in policy or "sandbox" in policy, template
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
            assert "strict-transport-security" not in answer.headers  # this one is served without TLS
    assert snapshot(place.store) == before


def test_the_api_takes_a_bearer_token_and_no_cookie(place: Place) -> None:
    token = make_api_token(place.store, place.people["anna"].id)
    with place.client("anna") as client:
        assert client.get("/api/v1/reviews").status_code == 401
        for wrong in (
            "",
            "Bearer",
            "Bearer x",
            f"Basic {token}",
            f"Bearer {token}x",
            "Bearer tri_" + "a" * 500,
        ):
            assert client.get("/api/v1/reviews", headers={"authorization": wrong}).status_code == 401
    with httpx2.Client(base_url=place.url, headers={"authorization": f"Bearer {token}"}) as api:
        assert len(api.get("/api/v1/reviews").json()["reviews"]) == len(place.ids)
        for who in ("/", "/tickets/1", "/agents"):
            assert api.get(who).status_code == 303


@pytest.mark.parametrize(
    "path", ["/tickets/99", "/reviews/99", "/attachments/99", "/nothing", "/static/../app.py"]
)
def test_what_is_not_there_is_one_plain_line(place: Place, path: str) -> None:
    with place.client("anna") as client:
        answer = client.get(path)
        assert answer.status_code == 404
        assert "Traceback" not in answer.text
        client.headers["accept"] = "*/*"
        assert client.get(path).text.count("\n") == 1


def _csrf(place: Place, who: str) -> str:
    _token, session = sessions.start(place.store, place.people[who])
    return session.csrf_token


def test_behind_https_the_browser_is_told_to_stay_there(sqlite_store: Store) -> None:
    people = seed.people(sqlite_store)
    parts = running.parts_for(sqlite_store, public_url="https://triage.example.com")
    with running.serving(parts) as url, httpx2.Client(base_url=url) as client:
        form = {"email": people["anna"].email, "password": seed.PASSWORD}
        answer = client.post("/login", data=form, headers={"origin": "https://triage.example.com"})
        assert answer.status_code == 303
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        cookie = answer.headers["set-cookie"].lower()
        for word in ("__host-triage=", "secure", "httponly", "samesite=lax", "path=/"):
            assert word in cookie
        for origin in ("http://triage.example.com", url):
            assert client.post("/login", data=form, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/tickets/1?back=%2F", "/tickets/1?back=%2F"), ("", "/"), ("https://evil.example/", "/"),
        ("//evil.example", "/"), ("/\\evil.example", "/"), ("\\\\evil.example", "/"), ("javascript:alert(1)", "/"),
        ("/%0d%0aset-cookie:x", "/%0d%0aset-cookie:x"), ("/\r\nset-cookie:x", "/"), ("/\t/evil.example", "/"),
        (" //evil.example", "/"), ("/" + "a" * 2000, "/"),
    ],
)  # fmt: skip
def test_a_log_in_leads_to_a_page_of_ours_only(place: Place, asked: str, led: str) -> None:
    form = {"email": "anna@shop.example", "password": seed.PASSWORD, "next": asked}
    with place.client() as client:
        answer = client.post("/login", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, led)
        assert client.get("/login", params={"next": asked}).headers["location"] == led
