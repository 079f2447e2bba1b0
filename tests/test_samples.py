"""The sample inbox of `triage demo` is what its expected.toml says, and its account data fit it."""

from __future__ import annotations

import re
import sqlite3
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).resolve().parents[1] / "pipeline" / "samples"
INBOX = SAMPLES / "inbox"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((SAMPLES / "expected.toml").read_text(encoding="utf-8"))
FILES = sorted(path.name for path in INBOX.glob("*.eml"))
ROUTES = Path(__file__).resolve().parents[1] / "routes.toml"
TOPICS = list(tomllib.loads(ROUTES.read_text(encoding="utf-8"))["topics"])
REASONS = {"vague", "mixed", "angry", "critical", "cancellation", "costly_refund", "legal", "security"}
OUR_MX = "mx.larkfield.example"
CHARGES_CLOSE = timedelta(hours=24)


def of_kind(*kinds: str) -> list[str]:
    return [name for name in FILES if EXPECTED[name]["kind"] in kinds]


PERSONS = of_kind("person")


def mail(name: str) -> Message:
    return message_from_bytes((INBOX / name).read_bytes())


def slug(name: str) -> str:
    return name.split("-", 2)[2].removesuffix(".eml")


def by_slug(wanted: str) -> str:
    return next(name for name in FILES if slug(name) == wanted)


def sender(message: Message) -> str:
    addresses = getaddresses([str(message["From"])])
    assert len(addresses) == 1
    return addresses[0][1]


def header(message: Message, name: str) -> str:
    return str(make_header(decode_header(str(message[name])))) if message[name] is not None else ""


def ids(message: Message, *names: str) -> set[str]:
    return {found for name in names for found in re.findall(r"<([^<>\s]+)>", str(message[name] or ""))}


def texts(message: Message) -> Iterator[str]:
    """The decoded text parts; a label iso-8859-1 is read as windows-1252, as every mail reader does."""
    for part in message.walk():
        if part.get_content_maintype() == "text" and not part.get_filename():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            charset = part.get_content_charset("utf-8")
            yield payload.decode("windows-1252" if charset == "iso-8859-1" else charset)


def body(name: str) -> bytes:
    return (INBOX / name).read_bytes().partition(b"\r\n\r\n")[2]


def depth(message: Message) -> int:
    level, deepest, stack = 0, 0, [(message, 1)]
    while stack:
        part, level = stack.pop()
        deepest = max(deepest, level)
        if part.is_multipart():
            stack += [(child, level + 1) for child in part.get_payload() if isinstance(child, Message)]
    return deepest


def trusted_pass(message: Message) -> bool:
    """Whether our own mail server saw an aligned DMARC pass for the domain of From."""
    domain = sender(message).rpartition("@")[2].lower()
    for value in message.get_all("Authentication-Results") or []:
        server, _, results = re.sub(r"\s+", " ", str(value)).partition(";")
        found = re.search(r"dmarc=pass\b[^;]*\bheader\.from=([^\s;]+)", results)
        if server.strip() == OUR_MX and found and found.group(1).lower() == domain:
            return True
    return False


@pytest.fixture(scope="module")
def shop() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript((SAMPLES / "account.sql").read_text(encoding="utf-8"))
    yield connection
    connection.close()


def queries() -> dict[str, str]:
    (connector,) = tomllib.loads((SAMPLES / "accounts.toml").read_text(encoding="utf-8"))["connector"]
    assert connector["kind"] == "sql"
    assert connector["url"].startswith("sqlite:///{home}/")
    found: dict[str, str] = connector["queries"]
    return found


def like_charges(shop: sqlite3.Connection, address: str) -> list[tuple[sqlite3.Row, sqlite3.Row]]:
    """Pairs of payments that went through, like in amount, currency and wording, close in time."""
    rows = [
        row
        for row in shop.execute(queries()["payments"], {"address": address})
        if row["status"] == "succeeded"
    ]
    return [
        (earlier, later)
        for later, earlier in pairwise(rows)
        if all(earlier[key] == later[key] for key in ("amount", "currency", "description"))
        and datetime.fromisoformat(later["paid_at"]) - datetime.fromisoformat(earlier["paid_at"])
        < CHARGES_CLOSE
    ]


def test_every_mail_is_listed_and_every_listed_mail_is_there() -> None:
    assert sorted(EXPECTED) == FILES
    assert len(FILES) >= 64
    assert sum((INBOX / name).stat().st_size for name in FILES) < 400_000


def test_the_keys_of_each_entry_are_known_and_fit_its_kind() -> None:
    optional = {"topic", "language", "because", "thread", "duplicate_of"}
    for name, entry in EXPECTED.items():
        assert {"kind", "should_escalate", "vouched", "note"} <= entry.keys(), name
        assert entry.keys() <= optional | {"kind", "should_escalate", "vouched", "note"}, name
        assert entry["should_escalate"] == bool(entry.get("because")), name
        assert set(entry.get("because", [])) <= REASONS | {"injection"}, name
        assert ("topic" in entry) == (entry["kind"] in ("person", "duplicate")), name
        assert entry.get("topic", "other") in TOPICS, name
        assert entry["kind"] == "person" or not entry["should_escalate"], name
        assert name[4:6] == entry.get("language", "xx"), name


def test_six_languages_and_every_topic_stand_in_it_several_times() -> None:
    languages = Counter(EXPECTED[name]["language"] for name in PERSONS)
    topics = Counter(EXPECTED[name]["topic"] for name in PERSONS)
    assert all(languages[language] >= 6 for language in ("en", "de", "fr", "es", "it", "nl"))
    assert languages["pt"]
    assert languages["pl"]
    assert all(topics[topic] >= 4 for topic in TOPICS), topics


def test_kinds_of_trouble_are_all_there() -> None:
    kinds = Counter(entry["kind"] for entry in EXPECTED.values())
    because = Counter(reason for entry in EXPECTED.values() for reason in entry.get("because", []))
    angry = {EXPECTED[name]["language"] for name in PERSONS if "angry" in EXPECTED[name].get("because", [])}
    assert all(kinds[kind] >= 2 for kind in ("auto_reply", "bounce", "bulk", "quarantine", "duplicate"))
    assert because.keys() == REASONS | {"injection"}
    assert because["injection"] >= 2
    assert len(angry) >= 3


def test_file_names_are_numbered_in_the_order_in_which_the_mails_were_sent() -> None:
    assert [int(name[:3]) for name in FILES] == list(range(1, len(FILES) + 1))
    # A duplicate carries the date of its first, and a spool file's rest carries none.
    dates = [
        parsedate_to_datetime(str(mail(name)["Date"])).astimezone(UTC)
        for name in FILES
        if EXPECTED[name]["kind"] != "duplicate" and mail(name)["Date"]
    ]
    assert dates == sorted(dates)
    assert len(dates) >= len(FILES) - 3
    assert datetime(2026, 11, 16, tzinfo=UTC) <= dates[0]
    assert dates[-1] < datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize("name", PERSONS)
def test_a_persons_mail_has_one_sender_an_id_and_text_and_no_mark_of_a_machine(name: str) -> None:
    message = mail(name)
    assert "@" in sender(message)
    assert len(ids(message, "Message-ID")) == 1
    for machine in ("Auto-Submitted", "List-Id", "Precedence", "X-Auto-Response-Suppress"):
        assert message[machine] is None
    assert str(message["Return-Path"]) != "<>"
    assert any(len(text.strip()) > 10 for text in texts(message))
    assert "support@larkfield.example" in str(message["To"])


def test_automated_mail_carries_the_headers_that_say_so() -> None:
    for name in of_kind("auto_reply"):
        assert str(mail(name)["Auto-Submitted"]).startswith("auto-"), name
    for name in of_kind("bulk"):
        assert mail(name)["List-Id"], name
        assert mail(name)["Precedence"] in ("bulk", "list"), name
    actions = set()
    for name in of_kind("bounce"):
        report = mail(name)
        assert report.get_content_type() == "multipart/report", name
        assert str(report["Return-Path"]) == "<>", name
        (status,) = [p for p in report.walk() if p.get_content_type() == "message/delivery-status"]
        blocks = [block for block in status.get_payload() if isinstance(block, Message)]
        actions |= {(str(block["Action"]), str(block["Status"])[0]) for block in blocks if block["Action"]}
    assert actions == {("failed", "5"), ("delayed", "4")}


def test_the_broken_ones_are_nested_beyond_reason_or_no_mail_at_all() -> None:
    names = of_kind("quarantine")
    assert all(mail(name)["From"] is None or depth(mail(name)) > 100 for name in names)
    assert {mail(name)["From"] is None for name in names} == {True, False}
    assert max(depth(mail(name)) for name in FILES if name not in names) <= 5


def test_a_duplicate_is_the_same_bytes_or_the_same_mail_by_another_path() -> None:
    same_bytes = []
    for name in of_kind("duplicate"):
        first = EXPECTED[name]["duplicate_of"]
        copy, original = mail(name), mail(first)
        assert name > first, name
        assert copy["Message-ID"] == original["Message-ID"], name
        assert copy["From"] == original["From"], name
        assert body(name) == body(first), name
        same_bytes.append((INBOX / name).read_bytes() == (INBOX / first).read_bytes())
        assert same_bytes[-1] or copy.get_all("Received") != original.get_all("Received"), name
    assert sorted(same_bytes) == [False, True]
    seen = Counter(mail(name)["Message-ID"] for name in FILES if name not in of_kind("duplicate"))
    assert {message_id: n for message_id, n in seen.items() if n > 1 and message_id} == {}


def test_a_thread_can_be_followed_by_its_headers_to_its_first_mail() -> None:
    threads: dict[str, list[str]] = {}
    for name in FILES:
        if "thread" in EXPECTED[name]:
            threads.setdefault(EXPECTED[name]["thread"], []).append(name)
    assert len(threads) >= 6
    assert max(map(len, threads.values())) >= 3
    for first, names in threads.items():
        assert names[0] == first
        known = ids(mail(first), "Message-ID")
        for name in names[1:]:
            assert known & ids(mail(name), "In-Reply-To", "References"), name
            known |= ids(mail(name), "Message-ID")
    loose = [n for n in PERSONS if "thread" not in EXPECTED[n] and ids(mail(n), "In-Reply-To", "References")]
    assert loose == []


@pytest.mark.parametrize("name", [*PERSONS, *of_kind("auto_reply", "bulk", "duplicate")])
def test_vouched_means_a_dmarc_pass_from_our_own_mail_server(name: str) -> None:
    assert trusted_pass(mail(name)) == EXPECTED[name]["vouched"]


def test_the_spoofed_mail_bears_a_customers_name_and_a_pass_that_is_not_ours() -> None:
    message = mail(by_slug("spoofed-sender"))
    results = [str(value) for value in message.get_all("Authentication-Results") or []]
    assert sender(message) == sender(mail(by_slug("charged-twice")))
    assert OUR_MX in results[0]
    assert "dmarc=fail" in results[0]
    assert OUR_MX not in results[1]
    assert "dmarc=pass" in results[1]


def test_the_injections_stand_in_plain_text_and_hidden_in_html() -> None:
    plain = "".join(texts(mail(by_slug("injection-plain"))))
    hidden = "".join(texts(mail(by_slug("injection-hidden-html"))))
    assert "gnore all previous instructions" in plain
    assert "<" not in plain
    assert re.search(r"display:none[^>]*>[^<]*ignore previous instructions", hidden)
    assert "<script>" in hidden
    assert "font-size:0" in hidden


def test_many_shapes_of_mime_are_there() -> None:
    types: set[str] = set()
    charsets: set[str | None] = set()
    encodings: set[str] = set()
    flowed: set[object] = set()
    for name in PERSONS:
        for part in mail(name).walk():
            types.add(part.get_content_type())
            encodings.add(str(part["Content-Transfer-Encoding"] or "").lower())
            if part.get_content_type() == "text/plain" and not part.get_filename():
                charsets.add(part.get_content_charset())
                flowed.add((part.get_param("format"), part.get_param("delsp")))
    assert types >= {"multipart/alternative", "multipart/mixed", "multipart/related", "text/html"}
    assert types >= {"application/pdf", "image/png", "text/csv", "message/rfc822"}
    assert charsets >= {"utf-8", "iso-8859-1", "windows-1252", "iso-8859-2", "koi8-r", None}
    assert encodings >= {"7bit", "8bit", "quoted-printable", "base64"}
    assert flowed >= {("flowed", None), ("flowed", "yes")}
    assert any(mail(name).get_content_type() == "text/html" for name in PERSONS)
    assert any(mail(name)["Subject"] is None for name in PERSONS)


def test_nobody_real_is_in_it_only_reserved_domains_and_telephone_numbers() -> None:
    hosts: set[str] = set()
    phones: set[str] = set()
    for name in FILES:
        if EXPECTED[name]["kind"] == "quarantine":
            continue
        message = mail(name)
        every = [*texts(message), *(header(message, key) for key in set(message.keys()))]
        for text in every:
            hosts |= set(re.findall(r"(?:@|https?://)((?:[\w-]+\.)+[A-Za-z]{2,})", text))
        for text in texts(message):
            phones |= set(re.findall(r"\+\d[\d ]{7,}\d", text))
    data = (SAMPLES / "account.sql").read_text(encoding="utf-8")
    hosts |= set(re.findall(r"@((?:[\w-]+\.)+[A-Za-z]{2,})", data))
    assert {host for host in hosts if not host.endswith((".example", ".test"))} == set()
    reserved = ("+44 20 7946 0", "+1 202 555 01", "+49 30 23125 ")
    assert len(phones) >= 5
    assert {phone for phone in phones if not phone.startswith(reserved)} == set()


def test_the_account_data_load_and_each_query_answers_for_each_vouched_customer(
    shop: sqlite3.Connection,
) -> None:
    assert set(queries()) == {"account", "payments", "orders"}
    assert shop.execute("PRAGMA foreign_key_check").fetchall() == []
    known = 0
    for name in (n for n in PERSONS if EXPECTED[n]["vouched"]):
        address = sender(mail(name))
        rows = {key: shop.execute(sql, {"address": address}).fetchall() for key, sql in queries().items()}
        assert len(rows["account"]) <= 1
        known += len(rows["account"])
        for row in rows["payments"]:
            assert re.fullmatch(r"-?\d+\.\d\d", row["amount"])
            assert len(row["currency"]) == 3
    assert known >= 60
    (upper,) = shop.execute(queries()["account"], {"address": "HARRIET@Coldwell-Design.example"})
    assert upper["plan"] == "sync_plus"


def test_the_double_charge_stands_in_the_account_data_and_its_look_alikes_do_not_count(
    shop: sqlite3.Connection,
) -> None:
    customers = [row["email"] for row in shop.execute("SELECT email FROM customers")]
    charged_twice = {address: pairs for address in customers if (pairs := like_charges(shop, address))}
    assert list(charged_twice) == [sender(mail(by_slug("charged-twice")))]
    ((earlier, later),) = next(iter(charged_twice.values()))
    assert (earlier["amount"], earlier["currency"]) == ("64.99", "GBP")
    assert (earlier["invoice_number"], later["invoice_number"]) == ("INV-2026-10442", None)
    assert datetime.fromisoformat(later["paid_at"]) < parsedate_to_datetime(
        str(mail(by_slug("charged-twice"))["Date"])
    )


def test_order_invoice_and_customer_numbers_in_the_mails_belong_to_their_senders(
    shop: sqlite3.Connection,
) -> None:
    checked = 0
    for name in (n for n in PERSONS if EXPECTED[n]["vouched"]):
        message = mail(name)
        text = header(message, "Subject") + " " + " ".join(texts(message))
        address = {"address": sender(message)}
        account = {row["customer_id"] for row in shop.execute(queries()["account"], address)}
        orders = {row["order_number"]: row for row in shop.execute(queries()["orders"], address)}
        invoices = {row["invoice_number"] for row in shop.execute(queries()["payments"], address)}
        sent = parsedate_to_datetime(str(message["Date"]))
        for number in set(re.findall(r"\bLF-\d{5}\b", text)):
            assert number in orders, (name, number)
            assert datetime.fromisoformat(orders[number]["placed_at"]) < sent, (name, number)
            checked += 1
        assert set(re.findall(r"\bINV-\d{4}-\d{5}\b", text)) <= invoices, name
        assert set(re.findall(r"\bLK-\d{5}\b", text)) <= account, name
    assert checked >= 20


def test_nothing_in_the_account_data_is_later_than_the_week_of_the_inbox(shop: sqlite3.Connection) -> None:
    times = shop.execute(
        "SELECT paid_at FROM payments UNION SELECT placed_at FROM orders"
        " UNION SELECT last_login FROM customers WHERE last_login IS NOT NULL"
    )
    assert max(datetime.fromisoformat(row[0]) for row in times) < datetime(2026, 11, 21, tzinfo=UTC)


def test_the_policy_says_what_drafts_lean_on() -> None:
    policy = (SAMPLES / "policy.md").read_text(encoding="utf-8")
    for heading in ("Refunds", "shipping", "cancellation", "security", "never promised", "Tone"):
        assert re.search(rf"^## .*{heading}", policy, re.MULTILINE), heading
    assert 300 < len(policy.split()) < 900


def test_the_readme_gives_the_counts_as_they_are() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    kinds = Counter(entry["kind"] for entry in EXPECTED.values())
    topics = Counter(EXPECTED[name]["topic"] for name in PERSONS)
    languages = Counter(EXPECTED[name]["language"] for name in PERSONS)
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|$", readme, re.MULTILINE))
    assert rows == {key: str(n) for counts in (kinds, topics, languages) for key, n in counts.items()}
    assert set(re.findall(r"`(\d{3}-[\w.-]+\.eml)`", readme)) <= set(FILES)
