"""The running pages held against the rules of a web scanner: read link by link as everybody, then attacked."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute

from pipeline.db.store import Store
from pipeline.db.tables import reviews, second_reads, tickets
from pipeline.db.types import now
from pipeline.review import sessions
from pipeline.review.agents import make_api_token
from pipeline.web.app import create_app
from tests.kit.attacks import Attacker, Form, Walked, walk
from tests.kit.model_replies import Reply, Seen, ok
from tests.kit.model_server import ModelServer
from tests.kit.scan import RULES, Finding, findings
from tests.test_redrafting import answer
from tests.web import running, seed, spoilt
from tests.web.test_axe import fill
from tests.web.test_routes import _flat
from tests.web.whole import Whole, whole

if TYPE_CHECKING:
    from tests.kit.databases import Databases

HEADERS_AT = (
    ("GET", "/"), ("GET", "/login"), ("POST", "/login"), ("POST", "/views"), ("GET", "/static/triage.js"),
    ("GET", "/api/v1/reviews"), ("POST", "/webhooks/shop"),
)  # fmt: skip


def reworked(seen: Seen) -> Reply:
    """As in the journeys; a writing tool gives back the text as it was."""
    if seen.schema is not None and set(seen.schema["properties"]) == {"text"}:
        given = seen.user.rpartition("The text:\n")[2].rpartition("\n\nDo the task")[0]
        return ok({"text": "\n".join(given.splitlines()[1:-1])})
    reply: Reply = answer(seen)
    return reply


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, postgres_databases: Databases
) -> Iterator[Whole]:
    """On PostgreSQL, which refuses more values than SQLite does."""
    name = postgres_databases.take()
    url = sa.make_url(postgres).set(database=name).render_as_string(hide_password=False)
    with (
        ModelServer(reworked) as server,
        whole(tmp_path_factory.mktemp("scan"), url, server) as place,
    ):
        fill(place)
        yield place
    postgres_databases.give_back(name)


@pytest.fixture(scope="module")
def clients(place: Whole) -> Iterator[dict[str, httpx2.Client]]:
    with contextlib.ExitStack() as stack:
        found = {}
        for who in ("nobody", "anna", "ada"):
            client = stack.enter_context(
                httpx2.Client(base_url=place.url, headers={"accept": "text/html"}, timeout=20)
            )
            if who != "nobody":
                client.cookies.set("triage_session", place.cookie(who)["value"])
            found[who] = client
        yield found


@pytest.fixture(scope="module")
def tried() -> Counter[tuple[str, ...]]:
    """What had its turn, by whomever."""
    return Counter()


@pytest.fixture(scope="module")
def token(place: Whole) -> str:
    return make_api_token(place.parts.store, place.people["anna"].id)


@pytest.fixture(scope="module")
def undo(place: Whole, walked: dict[str, Walked], token: str) -> Callable[[], None]:
    """Puts back what every table held after the walk."""
    names = sa.inspect(place.parts.store.engine).get_table_names()
    with place.parts.store.write() as c:
        c.exec_driver_sql("CREATE SCHEMA kept")
        for name in names:
            c.exec_driver_sql(f'CREATE TABLE kept."{name}" AS TABLE public."{name}"')
    back = "SET LOCAL session_replication_role = replica; SET LOCAL synchronous_commit = off;" + "".join(
        f'DELETE FROM public."{n}"; INSERT INTO public."{n}" OVERRIDING SYSTEM VALUE TABLE kept."{n}";'
        for n in names
    )

    def undo() -> None:
        with place.parts.store.write() as c:
            c.exec_driver_sql(back)

    return undo


@pytest.fixture(scope="module")
def walked(place: Whole, clients: dict[str, httpx2.Client]) -> dict[str, Walked]:
    """What each of them gets to see; the links of the first pages lead to the others."""
    link = sessions.make_link(place.parts.store, place.people["ben"], "reset")
    doors = [
        "/",
        "/login?next=/",
        f"/enter/{link}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/docs",
        "/nowhere",
    ]
    inside = [
        "/", "/?state=decided&done=approve&t=1&after=1", "/?q=order", "/reviews/1", "/reports?week=2026-W47",
        f"/comparisons/{place.ids['comparison']}?back=", "/account", "/mentions",
    ]  # fmt: skip
    runs = "/evaluations/compare?a=monday:gpt-6-luna&b=tuesday:gpt-6-luna"
    leads = [runs, "/messages/1/case", "/second-reads", f"/second-reads/{second_read(place)}"]
    found = {"nobody": walk(clients["nobody"], doors, each=2, private=False)}
    found["anna"] = walk(clients["anna"], inside, each=2, many="/tickets/", private=True)
    found["ada"] = walk(clients["ada"], [*leads, *inside], each=1, private=True)
    return found


def second_read(place: Whole) -> int:
    """A draft that anna approved waits for somebody else to judge it once more."""
    with place.parts.store.write() as c:
        approved = sa.select(reviews).where(reviews.c.action == "approve", reviews.c.draft_id.is_not(None))
        row = c.execute(approved.order_by(reviews.c.id)).first()
        assert row is not None
        c.execute(second_reads.delete().where(second_reads.c.review_id == row.id))
        asked = {"review_id": row.id, "ticket_id": row.ticket_id, "first_by": place.people["anna"].id}
        made = c.execute(second_reads.insert().values(asked_at=now(), **asked)).inserted_primary_key
        assert made is not None
        return int(made[0])


def test_reading_every_page_finds_nothing(place: Whole, walked: dict[str, Walked]) -> None:
    seen = [seen for walk in walked.values() for seen in walk.seen]
    assert told(finding for one in seen for finding in findings(one)) == []
    shown = {f"{one.method} {one.answer.request.url.path}" for one in seen if one.answer.status_code < 400}
    missed = {
        route.path
        for route in routes(place, "GET")
        if not any(re.fullmatch(f"GET {re.sub(r'{[^}]*}', '[^/]+', route.path)}", one) for one in shown)
    }
    assert missed == {"/oidc/start", "/oidc/callback"} | {
        path for path in missed if path.startswith("/api/v1/reviews") or path.startswith("/api/v1/tickets")
    }


@pytest.mark.timeout(400)  # hundreds of requests; seconds on an idle machine
@pytest.mark.parametrize("who", ["nobody", "anna", "ada"])
def test_hostile_input_breaks_nothing_and_comes_through_nowhere(
    who: str,
    place: Whole,
    clients: dict[str, httpx2.Client],
    walked: dict[str, Walked],
    undo: Callable[[], None],
    tried: Counter[tuple[str, ...]],
) -> None:
    attacker = Attacker(clients[who], who != "nobody", undo, tried=tried)
    shown = [form for form in walked[who].forms.values() if form.action != "/logout"]
    csrf = next((form.values["csrf"] for form in shown if "csrf" in form.values), "")
    given = shown + (hidden(place, shown, csrf) if who == "ada" else [])
    for form in given:
        attacker.from_elsewhere(form)
    attacker.addresses(walked[who].asked.values())
    for form in given:
        attacker.form(form)
    attacker.private = False
    for method, address in HEADERS_AT if who == "nobody" else ():
        attacker.headers(method, address)
    assert attacker.sent > 50
    assert told(attacker.found) == []


def told(found: Iterable[Finding]) -> list[str]:
    """The findings, each once, as one reads them."""
    return sorted({f"{one.rule}: {one.where}: {one.what}" for one in found})


def routes(place: Whole, method: str) -> list[APIRoute]:
    app = create_app(running.parts_for(place.parts.store))
    return [
        route
        for route in _flat(app.routes)
        if isinstance(route, APIRoute) and method in (route.methods or ())
    ]


def hidden(place: Whole, shown: list[Form], csrf: str) -> list[Form]:
    """A form for each route that takes one and that no page of the walk had."""
    known = {form.shape[1] for form in shown}
    values = {"csrf": csrf, "version": str(version_of_first(place)), "email": "ben@shop.example"}
    found = []
    for route in routes(place, "POST"):
        path = re.sub(r"{\w+_id}", "1", route.path)
        if "{" in path or path.startswith("/api/") or path == "/logout" or re.sub(r"\d", "0", path) in known:
            continue
        found.append(Form("POST", path, {name: values.get(name, "") for name in _fields(route.dependant)}))
    return found


def version_of_first(place: Whole) -> int:
    with place.parts.store.read() as c:
        return int(c.execute(sa.select(tickets.c.version).where(tickets.c.id == 1)).scalar_one())


def _fields(dependant: Any) -> list[str]:
    inner = [name for one in dependant.dependencies for name in _fields(one)]
    return [param.alias for param in dependant.body_params] + inner


@pytest.mark.timeout(400)
def test_hostile_calls_of_the_api_break_nothing(place: Whole, token: str, undo: Callable[[], None]) -> None:
    undo()
    version = version_of_first(place)
    accept = {"authorization": f"Bearer {token}", "accept": "application/json"}
    with httpx2.Client(base_url=place.url, headers=accept, timeout=20) as client:
        spec = client.get("/api/v1/openapi.json").json()
        attacker = Attacker(client, private=True, undo=undo)
        for path, methods in spec["paths"].items():
            address = re.sub(r"{[^}]*}", "1", path)
            for method, call in methods.items():
                names = [one["name"] for one in call.get("parameters", []) if one["in"] == "query"]
                if method == "get":
                    attacker.addresses([f"{address}?{'&'.join(f'{name}=1' for name in names)}"])
                    continue
                attacker.api("POST", address, _properties(spec, call), {"version": version})
        assert told(attacker.found) == []
        assert attacker.sent > 200


def _properties(spec: dict[str, Any], call: dict[str, Any]) -> list[str]:
    schema = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return list(
        spec["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
    )


def test_what_the_scan_found_is_one_plain_line(
    place: Whole, clients: dict[str, httpx2.Client], token: str
) -> None:
    nobody = clients["nobody"]
    nobody.cookies.clear()
    ada = {"cookie": f"triage_session={place.cookie('ada')['value']}"}
    nul = nobody.post("/login", data={"email": "a\x00b", "password": "x"})
    assert (nul.status_code, "take out what is no character" in nul.text) == (403, True)
    assert nobody.post("/login", data={"email": "a"}, headers={"origin": "http://["}).status_code == 403
    assert nobody.get("/?topic=a%00b", headers=ada).status_code == 422
    for at in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"):
        assert nobody.get(f"/queue/news?since=0&at={at}", headers=ada).status_code == 200
    api = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    body = f'{{"version": {version_of_first(place)}, "to": "\\ud800"}}'
    half = nobody.post("/api/v1/tickets/1/assign", content=body, headers=api)
    assert half.status_code == 422
    assert list(half.json()) == ["error"]


def test_behind_tls_cookies_and_answers_say_so(sqlite_store: Store) -> None:
    people = seed.people(sqlite_store)
    seed.ticket(sqlite_store)
    origin = "https://triage.example"
    parts = running.parts_for(sqlite_store, public_url=origin)
    headers = {"accept": "text/html", "origin": origin}
    with running.serving(parts) as url, httpx2.Client(base_url=url, headers=headers, timeout=20) as client:
        form = {"email": people["anna"].email, "password": seed.PASSWORD}
        entered = client.post("/login", data=form)
        assert entered.status_code == 303
        client.headers["cookie"] = entered.headers["set-cookie"].partition(";")[0]
        seen = walk(client, ["/"], private=True, https=True).seen
        assert len(seen) > 8
        assert told(finding for one in seen for finding in findings(one)) == []


def test_each_rule_finds_its_fault_and_no_other() -> None:
    numbers = {name.partition(" ")[0] for name in RULES}
    assert {number for page in spoilt.PAGES.values() for number in page.found} == numbers
    with running.listening(lambda _url: spoilt.site) as url, httpx2.Client(base_url=url) as client:
        for name, page in spoilt.PAGES.items():
            seen = walk(client, [f"/{name}"], each=1, private=True, https=True).seen[0]
            found = {finding.rule.partition(" ")[0] for finding in findings(seen)}
            assert found == page.found, name


def test_each_weakness_gives_way_to_the_attacks() -> None:
    with running.listening(lambda _url: spoilt.site) as url, httpx2.Client(base_url=url) as client:
        for name, number in spoilt.WEAK.items():
            attacker = Attacker(client, private=True, https=True)
            attacker.addresses([f"/weak/{name}?q=1"])
            assert number in {finding.rule.partition(" ")[0] for finding in attacker.found}, name
        attacker = Attacker(client, private=True, https=True)
        [form] = walk(client, ["/form"], private=True, https=True).forms.values()
        attacker.from_elsewhere(form)
        assert len(attacker.found) == 4
        assert {finding.rule for finding in attacker.found} == {"20012 taken from another site"}
        attacker.found.clear()
        attacker.form(Form("POST", "/over", {"csrf": "y"}))
        assert "0 attack in vain" in {finding.rule for finding in attacker.found}
