"""accounts.toml and its two kinds of connectors: another database, and an HTTP endpoint."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.accounts.config import load, read
from pipeline.accounts.lookup import look_up, together
from pipeline.errors import ConfigError
from tests.accounts.conftest import Endpoint

SQL = """
[[connector]]
name = "shop"
kind = "sql"
url = "sqlite:///{home}/shop.db"

[connector.queries]
account = "SELECT plan, status, last_login, seats FROM customers WHERE lower(email) = lower(:address)"
payments = "SELECT id, at, amount, currency, description, status, refunded FROM payments WHERE email = :address"
orders = "SELECT number, placed_at, status FROM orders WHERE email = :address AND number = :order_number"
"""


def sql(name: str, url: str, timeout_s: float, account: str) -> str:
    head = f'[[connector]]\nname = "{name}"\nkind = "sql"\nurl = "{url}"\ntimeout_s = {timeout_s}\n'
    return f'{head}[connector.queries]\naccount = "{account}"\n'


def http(endpoint: Endpoint, more: str = "") -> str:
    return f'[[connector]]\nname = "crm"\nkind = "http"\nurl = "{endpoint.url}/c/{{address}}"\n{more}'


def test_named_queries_become_facts_with_their_source_and_time(shop: Path) -> None:
    found = look_up(
        read(SQL, home=shop), "Ana@customer.example".lower(), verified=True, order_numbers=["A-1"]
    )
    assert [each.error for each in found] == [None]
    facts = together(found)
    assert facts is not None
    assert facts.plan is not None
    assert (facts.plan.value, facts.plan.source.name) == ("pro", "shop.account")
    assert facts.plan.source.fetched_at.tzinfo is not None
    assert facts.last_login is not None
    assert facts.last_login.value == "2026-11-19T08:00:00+00:00"
    assert facts.more["seats"].value == 3
    assert [row.id for row in facts.payments] == ["p1", "p2"]
    assert facts.payments[0].currency == "GBP"
    assert [row.id for row in facts.orders] == ["A-1"]
    assert [flag.kind for flag in facts.flags] == ["double_charge"]
    assert "64.99 GBP" in facts.flags[0].text
    document = json.loads(json.dumps(facts.as_json()))
    assert document["payments"][0]["source"] == "shop.payments"
    assert any("probable double charge" in line for line in facts.lines())


def test_a_customer_never_sees_another_ones_order(shop: Path) -> None:
    found = look_up(read(SQL, home=shop), "ana@customer.example", verified=True, order_numbers=["B-1"])
    assert found[0].facts is not None
    assert found[0].facts.orders == ()


def test_a_sender_that_nobody_vouches_for_is_not_looked_up(shop: Path) -> None:
    found = look_up(read(SQL, home=shop), "ana@customer.example", verified=False, verified_why="DMARC failed")
    assert [(each.facts, each.error) for each in found] == [(None, "not looked up: DMARC failed")]


def test_an_unknown_customer_is_said_so(shop: Path) -> None:
    found = look_up(read(SQL, home=shop), "nobody@customer.example", verified=True)
    assert found[0].error == "there is no customer with this address"


def test_a_failing_connector_gives_a_sentence_and_the_others_answer(shop: Path, endpoint: Endpoint) -> None:
    endpoint.status = 500
    found = look_up(read(SQL + http(endpoint), home=shop), "ana@customer.example", verified=True)
    assert found[0].facts is not None
    assert found[1].error == f"crm: {endpoint.url[7:]} answered 500"


def test_a_missing_database_is_an_error_and_is_not_created(tmp_path: Path) -> None:
    found = look_up(read(SQL, home=tmp_path), "ana@customer.example", verified=True)
    assert found[0].error is not None
    assert "no database file" in found[0].error
    assert not (tmp_path / "shop.db").exists()


def test_the_database_cannot_be_written_through_a_query(shop: Path) -> None:
    text = SQL.replace(
        "SELECT plan, status, last_login, seats FROM customers WHERE lower(email) = lower(:address)",
        "WITH x AS (SELECT :address) DELETE FROM customers",
    )
    found = look_up(read(text, home=shop), "ana@customer.example", verified=True)
    assert found[0].error is not None
    assert "readonly" in found[0].error
    assert look_up(read(SQL, home=shop), "ana@customer.example", verified=True)[0].facts is not None


def test_a_query_that_never_ends_is_cut_off(shop: Path) -> None:
    endless = (
        "WITH RECURSIVE n(i, a) AS (SELECT 1, :address UNION ALL SELECT i + 1, a FROM n) SELECT max(i) FROM n"
    )
    text = sql("slow", "sqlite:///{home}/shop.db", 0.3, endless)
    began = time.monotonic()
    found = look_up(read(text, home=shop), "ana@customer.example", verified=True)
    assert found[0].error == "slow: query account took longer than 0.3 s"
    assert time.monotonic() - began < 2


def test_rows_are_limited(shop: Path) -> None:
    found = look_up(
        read(SQL.replace('kind = "sql"', 'kind = "sql"\nmax_rows = 1'), home=shop),
        "ana@customer.example",
        verified=True,
    )
    assert found[0].facts is not None
    assert len(found[0].facts.payments) == 1


def test_another_postgresql_is_read_only_and_bounded(postgres_url: str) -> None:
    table, url = "customers", postgres_url
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {table} (email text, plan text)")
        connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('ana@customer.example', 'pro')")

    def ask(query: str) -> tuple[object, str | None]:
        text = sql("pg", url, 1, query)
        found = look_up(read(text, home=Path()), "ana@customer.example", verified=True)[0]
        return (found.facts.plan.value if found.facts and found.facts.plan else None), found.error

    try:
        assert ask(f"SELECT plan FROM {table} WHERE email = :address") == ("pro", None)
        deleted = ask(
            f"WITH x AS (DELETE FROM {table} WHERE email = :address RETURNING plan) SELECT plan FROM x"
        )
        assert deleted[1] is not None
        assert "read-only" in deleted[1]
        slow = ask(f"SELECT plan, pg_sleep(30) FROM {table} WHERE email = :address")
        assert slow[1] == "pg: query account took longer than 1 s"
    finally:
        engine.dispose()


def test_an_endpoints_json_becomes_facts(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_TOKEN", "t0ps3cret")
    endpoint.answer(
        {
            "subscription": {"plan": "team", "state": "past_due"},
            "billing": {
                "charges": [
                    {
                        "ref": "c1",
                        "created": 1762000000,
                        "total": 4900,
                        "currency": "eur",
                        "memo": "Team",
                        "status": "paid",
                    },
                    {
                        "ref": "c2",
                        "created": 1762000300,
                        "total": 4900,
                        "currency": "eur",
                        "memo": "Team",
                        "status": "paid",
                    },
                ]
            },
        }
    )
    text = http(
        endpoint,
        """minor_units = true
[connector.headers]
Authorization = { env = "CRM_TOKEN", prefix = "Bearer " }
[connector.fields]
plan = "subscription.plan"
payment_status = "subscription.state"
payments = "billing.charges"
[connector.rows.payments]
id = "ref"
description = "memo"
amount = "total"
""",
    )
    found = look_up(read(text, home=tmp_path), "a+b/c@customer.example", verified=True)
    facts = found[0].facts
    assert facts is not None
    assert facts.plan is not None
    assert facts.payment_status is not None
    assert (facts.plan.value, facts.payment_status.value) == ("team", "past_due")
    assert str(facts.payments[0].amount) == "49"
    assert facts.payments[0].at is not None
    assert facts.payments[0].at.year == 2025
    assert [row.id for row in facts.flags[0].rows] == ["c1", "c2"]
    method, path, headers, _body = endpoint.asked[0]
    assert (method, path) == ("GET", "/c/a%2Bb%2Fc%40customer.example")
    assert {k.lower(): v for k, v in headers.items()}["authorization"] == "Bearer t0ps3cret"


def test_a_post_carries_the_address_and_the_order_numbers(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer({"plan": "pro"})
    look_up(
        read(http(endpoint, 'method = "POST"\n'), home=tmp_path),
        "ana@customer.example",
        verified=True,
        order_numbers=["A-1", "A-1"],
    )
    assert json.loads(endpoint.asked[0][3]) == {"address": "ana@customer.example", "order_numbers": ["A-1"]}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "there is no customer"),
        (302, b"", "redirects are not followed"),
        (200, b"<html>", "did not answer with JSON"),
        (200, b"[]", "not an object"),
        (200, b"[" * 100_000, "did not answer with JSON"),
        (200, b'"' + b"x" * 2_000_000 + b'"', "more than 1000000 bytes"),
        (401, b"{}", "answered 401"),
    ],
)
def test_what_an_endpoint_does_wrong_is_one_sentence(
    endpoint: Endpoint, tmp_path: Path, status: int, body: bytes, said: str
) -> None:
    endpoint.status, endpoint.body = status, body
    endpoint.headers = {"location": "http://127.0.0.1:9/evil"} if status == 302 else {}
    found = look_up(read(http(endpoint), home=tmp_path), "ana@customer.example", verified=True)
    assert found[0].facts is None
    assert found[0].error is not None
    assert said in found[0].error
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_drips_is_left_within_its_time(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answer({"plan": "x" * 200})
    endpoint.drip_s = 0.1
    began = time.monotonic()
    found = look_up(
        read(http(endpoint, "timeout_s = 0.4\n"), home=tmp_path), "ana@customer.example", verified=True
    )
    assert found[0].error is not None
    assert "within 0.4 s" in found[0].error
    assert time.monotonic() - began < 2


def test_an_endpoint_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    text = '[[connector]]\nname = "crm"\nkind = "http"\nurl = "http://127.0.0.1:9/{address}"\n'
    found = look_up(read(text, home=tmp_path), "ana@customer.example", verified=True)
    assert found[0].error is not None
    assert found[0].error.startswith("crm: 127.0.0.1:9 cannot be reached")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('kind = "sql"', 'kind = "ldap"'), 'line 4, connector shop: kind: is "sql" or "http"'),
        (
            ('name = "shop"', 'name = "shop"\ncolour = "red"'),
            "line 4, connector shop: colour: there is no such setting",
        ),
        (("account = ", "accounts = "), "known queries are account, payments, invoices, orders"),
        (("= lower(:address)", "= 'ana'"), "account: must name :address"),
        (("SELECT plan,", "DELETE plan,"), "account: a query begins with SELECT or WITH"),
        (
            ("email = :address AND", "email = :address AND :secret = 1 AND"),
            "orders: unknown parameter :secret",
        ),
        (("lower(:address)", "lower(:address); DROP TABLE customers"), "account: one statement only"),
        (("[[connector]]", "[connector]"), "connectors stand as"),
        (("sqlite:///", "oracle://x/"), "oracle is not supported"),
        (('url = "sqlite:///{home}/shop.db"', ""), "give one of url, url_env and url_file"),
    ],
)
def test_a_mistake_in_accounts_toml_names_the_place(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "accounts.toml"
    assert change[0] in SQL
    path.write_text(SQL.replace(*change))
    with pytest.raises(ConfigError) as refused:
        load(path, home=tmp_path)
    assert said in str(refused.value)
    assert "accounts.toml" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/{address}",
        "https://{address}.example/",
        "https://crm.example/all",
        "ftp://x/{address}",
    ],
)
def test_an_unsafe_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="url"):
        read(f'[[connector]]\nname = "crm"\nkind = "http"\nurl = "{url}"\n', home=tmp_path)


def test_the_shipped_sample_answers_with_its_double_charge(tmp_path: Path) -> None:
    import sqlite3

    samples = Path(__file__).parents[2] / "pipeline" / "samples"
    connection = sqlite3.connect(tmp_path / "demo-accounts.db")
    connection.executescript((samples / "account.sql").read_text(encoding="utf-8"))
    addresses = [row[0] for row in connection.execute("SELECT email FROM customers")]
    connection.close()
    connectors = load(samples / "accounts.toml", home=tmp_path)
    assert connectors[0].check() == "shop: 3 queries run"
    charged = [
        address
        for address in addresses
        if (facts := look_up(connectors, address, verified=True)[0].facts) and facts.flags
    ]
    assert len(charged) == 1
