"""Every endpoint against everybody who may come: nobody, agent, lead, admin, and a forged form."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.routing import Route

from pipeline.db.store import Store
from pipeline.db.tables import metadata
from pipeline.review import sessions
from pipeline.review.agents import make_api_token
from pipeline.web.app import create_app
from tests.web import running
from tests.web.conftest import Place

OPEN_TO_ALL = {
    ("GET", "/login"), ("POST", "/login"), ("GET", "/enter/{token}"), ("POST", "/enter/{token}"),
    ("POST", "/webhooks/{source}"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
    ("GET", "/api/docs"), ("GET", "/api/v1/openapi.json"),
}  # fmt: skip
ADMIN_ONLY = {("GET", "/agents"), ("POST", "/agents"), ("POST", "/agents/link"), ("POST", "/agents/disable")}


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
    assert set(found) >= OPEN_TO_ALL | ADMIN_ONLY


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


def test_only_an_admin_sees_and_makes_accounts(place: Place) -> None:
    for who, status in (("anna", 403), ("lea", 403), ("ada", 200)):
        with place.client(who) as client:
            own = sessions.resume(place.store, client.cookies["triage_session"])
            assert own is not None
            assert client.get("/agents").status_code == status
            data = {"csrf": own.csrf_token, "email": f"new-of-{who}@shop.example", "role": "agent"}
            assert client.post("/agents", data=data).status_code == status
    with place.client("anna") as client:
        own = sessions.resume(place.store, client.cookies["triage_session"])
        assert own is not None
        for path in ("/agents/link", "/agents/disable"):
            data = {"csrf": own.csrf_token, "email": "ada@shop.example"}
            assert client.post(path, data=data).status_code == 403


def test_an_agent_reads_every_page_and_no_read_changes_anything(place: Place) -> None:
    before = snapshot(place.store)
    with place.client("anna") as client:
        for method, template in endpoints(place.store):
            if (
                method != "GET"
                or template.startswith(("/api/v1/", "/evaluations"))
                or (method, template) in ADMIN_ONLY
            ):
                continue
            answer = client.get(path_of(template), follow_redirects=True)
            wanted = 410 if template == "/enter/{token}" else 200
            assert answer.status_code == wanted, template
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy, template
            assert "frame-ancestors 'none'" in policy or "sandbox" in policy, template
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
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
