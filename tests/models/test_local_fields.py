"""Fields: what is found, what is left alone, and their normal forms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.models.providers.local.fields import extract

RECEIVED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def values(kind: str, text: str, region: str | None = None) -> list[str]:
    return [row["value"] for row in extract(None, text, region=region, received=RECEIVED)[kind]]


def normalised(kind: str, text: str, region: str | None = None) -> list[str]:
    rows = extract(None, text, region=region, received=RECEIVED)[kind]
    return [row.get("normalised", row["value"]) for row in rows]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Where is order 4711?", "4711"),
        ("my order number is: AB-20931", "AB-20931"),
        ("Order #1029384 never came", "1029384"),
        ("#1029384 never came", "1029384"),
        ("Meine Bestellnummer lautet 77-2210", "77-2210"),
        ("Auftrag Nr. A55120 bitte stornieren", "A55120"),
        ("Bestellung 302-8812999", "302-8812999"),
        ("ma commande n° 88412 n'est pas arrivée", "88412"),
        ("el número de pedido es 556677", "556677"),
        ("mi pedido nº 90-1123", "90-1123"),
        ("ordine numero 4455-IT", "4455-IT"),
        ("bestelling 2026-99812 is kwijt", "2026-99812"),
        ("bestelnummer: 8812345", "8812345"),
        ("o meu pedido 334455 está atrasado", "334455"),
        ("zamówienie nr 12/2026/88", "12/2026/88"),
        ("numer zamówienia: 998877", "998877"),
        ("tracking number JD014600006281230704", "JD014600006281230704"),
        ("booking confirmation number ty 1256", "ty 1256"),
    ],
)
def test_order_numbers_are_found_in_eight_languages(text: str, wanted: str) -> None:
    assert normalised("order_numbers", text) == [wanted]


def test_a_list_of_orders_gives_each_of_them() -> None:
    assert values("order_numbers", "Orders 88121, 88122 and 88123 are late") == ["88121", "88122", "88123"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("invoice INV-2026-118 is wrong", "INV-2026-118"),
        ("Rechnung Nr. 2026/0815", "2026/0815"),
        ("Rechnungsnummer RE20261120", "RE20261120"),
        ("la facture F-7781", "F-7781"),
        ("factura número 5512", "5512"),
        ("fattura n. 118/2026", "118/2026"),
        ("factuurnummer 2026-0042", "2026-0042"),
        ("a fatura 998811", "998811"),
        ("faktura nr FV/11/2026", "FV/11/2026"),
        ("see my invoce #85512", "85512"),
    ],
)
def test_invoice_numbers_are_found_and_are_no_orders(text: str, wanted: str) -> None:
    assert normalised("invoice_numbers", text) == [wanted]
    assert values("order_numbers", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "We want to order 2000 pieces",
        "in order to get 15 of them",
        "I ordered in 2026",
        "order from 2026-05-03",
        "see ticket #12345 and bug #1554167",
        "version 71.0.0.7275 crashes",
        "my order costs 1200 euros",
        "the bill of 350 dollars",
        "I placed an order at 10:30",
        "order 20 licences please",
    ],
)
def test_look_alikes_are_no_order_or_invoice_numbers(text: str) -> None:
    assert values("order_numbers", text) == []
    assert values("invoice_numbers", text) == []


def test_account_numbers_are_found_by_their_cue() -> None:
    assert normalised("account_ids", "Kundennummer: K-55120") == ["K-55120"]
    assert normalised("account_ids", "my account number is 159655876") == ["159655876"]
    assert normalised("account_ids", "numéro de client 77120") == ["77120"]


def test_mail_addresses_are_found_and_their_domain_lowered() -> None:
    assert values("emails", "write to Jane.Doe+x@Example.COM, not to @jane") == ["Jane.Doe+x@Example.COM"]
    assert normalised("emails", "write to Jane.Doe+x@Example.COM") == ["Jane.Doe+x@example.com"]
    assert normalised("emails", "it is jane dot doe at example dot com") == ["jane.doe@example.com"]
    assert values("emails", "look at 3 apples @ home") == []


@pytest.mark.parametrize(
    ("text", "region", "wanted"),
    [
        ("call +44 20 7946 0018 please", None, "+442079460018"),
        ("Tel.: 030 901820", "DE", "+4930901820"),
        ("mein Handy 0151 23456789", "DE", "+4915123456789"),
        ("téléphone : 01 42 68 53 00", "FR", "+33142685300"),
        ("(212) 555-0123 is my phone", "US", "(212) 555-0123"),
    ],
)
def test_phone_numbers_get_their_international_form(text: str, region: str | None, wanted: str) -> None:
    (row,) = extract(None, text, region=region)["phones"]
    assert row.get("normalised", row["value"]) in (wanted, "+12125550123")


def test_order_numbers_and_dates_are_no_phone_numbers() -> None:
    assert values("phones", "order number 2125550123 of 20.11.2026", "US") == []
    assert values("phones", "it happened on 2026-05-03 12:00:00", "DE") == []


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("I paid €12.50 twice", "€12.50", "12.50 EUR"),
        ("Betrag: 1.234,50 €", "1.234,50 €", "1234.50 EUR"),
        ("it cost $1,299.99", "$1,299.99", "1299.99 USD"),
        ("about 10 pounds", "10 pounds", "10.00 GBP"),
        ("USD 45 were taken", "USD 45", "45.00 USD"),
        ("zapłaciłem 99,90 zł", "99,90 zł", "99.90 PLN"),
        ("CHF 1'250.00", "CHF 1'250.00", "1250.00 CHF"),
        ("il manque 1 250,00 €", "1 250,00 €", "1250.00 EUR"),
        ("costou R$ 59,90", "R$ 59,90", "59.90 BRL"),
        ("in the amount of 325 it was", "325", "325.00"),
    ],
)
def test_amounts_are_read_in_both_notations(text: str, value: str, wanted: str) -> None:
    assert values("amounts", text) == [value]
    assert normalised("amounts", text) == [wanted]


def test_plain_counts_are_no_amounts() -> None:
    assert values("amounts", "total 5 adults, 3 rooms, version 2.5, 20% off, room 305") == []


@pytest.mark.parametrize(
    ("text", "region", "value", "wanted"),
    [
        ("on 2026-05-03", None, "2026-05-03", "2026-05-03"),
        ("on 03/05/2026", None, "03/05/2026", "2026-05-03"),
        ("on 03/05/2026", "US", "03/05/2026", "2026-03-05"),
        ("on 05/23/2026", None, "05/23/2026", "2026-05-23"),
        ("am 3.5.26", None, "3.5.26", "2026-05-03"),
        ("am 3. Mai kam nichts", None, "3. Mai", "2026-05-03"),
        ("on May 3rd, 2025", None, "May 3rd, 2025", "2025-05-03"),
        ("le 14 juillet", None, "14 juillet", "2026-07-14"),
        ("el 2 de enero", None, "2 de enero", "2027-01-02"),
        ("il 25 dicembre 2025", None, "25 dicembre 2025", "2025-12-25"),
        ("op 5 mei 2026", None, "5 mei 2026", "2026-05-05"),
        ("dnia 12 marca 2026", None, "12 marca 2026", "2026-03-12"),
        ("I paid yesterday", None, "yesterday", "2026-11-19"),
        ("vor drei Tagen bezahlt", None, "vor drei Tagen", "2026-11-17"),
        ("two weeks ago", None, "two weeks ago", "2026-11-06"),
    ],
)
def test_dates_get_their_iso_form(text: str, region: str | None, value: str, wanted: str) -> None:
    assert values("dates", text, region) == [value]
    assert normalised("dates", text, region) == [wanted]


def test_words_and_versions_are_no_dates() -> None:
    assert values("dates", "I may march on with version 10.2.1 at 12:30, 1/2 of it, in 24 hours") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("My name is Ann O'Neil and I need help", ["Ann O'Neil"]),
        ("ich heiße Jörg Müller-Lüdenscheidt.", ["Jörg Müller-Lüdenscheidt"]),
        ("Je m'appelle Élodie Petit", ["Élodie Petit"]),
        ("me llamo María del Carmen", ["María del Carmen"]),
        ("Please help.\n\nKind regards,\nJane Doe\nAcme Ltd", ["Jane Doe"]),
        ("Mit freundlichen Grüßen\n\nDr. Eva Brandt", ["Dr. Eva Brandt"]),
        ("Met vriendelijke groet,\nJan van den Berg", ["Jan van den Berg"]),
        ("This is Tom from accounting", ["Tom"]),
        ("This is Unacceptable behaviour", []),
        ("Thanks,\nSent from my iPhone", []),
        ("I met Peter Smith in London", []),
    ],
)
def test_only_stated_and_signed_names_are_taken(text: str, wanted: list[str]) -> None:
    assert values("names", text) == wanted


def test_no_more_than_twenty_values_of_a_kind() -> None:
    text = ", ".join(f"order number {number}" for number in range(10_000, 10_060))
    assert len(values("order_numbers", text)) == 20
