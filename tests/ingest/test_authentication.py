from __future__ import annotations

import pytest

from pipeline.ingest.authentication import parse, vouched

PASS = "mx.example.com; spf=pass smtp.mailfrom=bounce.shop.example; dmarc=pass (p=REJECT) header.from=shop.example"


def judge(*headers: str, sender: str = "ann@shop.example", trusted: bool = True) -> tuple[bool, str]:
    return vouched(headers, authserv_id="mx.example.com", from_address=sender, from_trusted=trusted)


def test_a_header_is_read_by_the_grammar_of_rfc_8601() -> None:
    parsed = parse(
        'mx.example.com 1 (our (own) server); dkim = pass reason="good; really" header.d=a.example'
        " header.i=@a.example; dmarc/1=fail (p=none; dis=none) header.from = a.example ; none"
    )
    assert parsed is not None
    assert parsed.authserv_id == "mx.example.com"
    dkim, dmarc = parsed.results
    assert (dkim.method, dkim.result) == ("dkim", "pass")
    assert dkim.properties == {"reason": "good; really", "header.d": "a.example", "header.i": "@a.example"}
    assert (dmarc.method, dmarc.result, dmarc.properties) == ("dmarc", "fail", {"header.from": "a.example"})


def test_an_aligned_dmarc_pass_of_our_own_server_vouches() -> None:
    assert judge(PASS)[0]
    assert judge(PASS, sender="ann@mail.shop.example")[0]
    assert judge(PASS.replace("mx.example.com", "MX.Example.COM"), sender="ann@SHOP.example")[0]


@pytest.mark.parametrize(
    ("headers", "sender", "words"),
    [
        ((), "ann@shop.example", "no Authentication-Results by"),
        (
            (PASS.replace("mx.example.com", "mx.evil.test"),),
            "ann@shop.example",
            "no Authentication-Results by",
        ),
        ((PASS.replace("dmarc=pass", "dmarc=fail"),), "ann@shop.example", "dmarc=fail"),
        ((PASS.replace("dmarc=pass", "dmarc=pass; dmarc=fail"),), "ann@shop.example", "does not say"),
        ((PASS,), "ann@evil.test", "DMARC passed for shop.example"),
        ((PASS,), "ann@notshop.example", "DMARC passed for shop.example"),
        (("mx.example.com; dmarc=pass header.from=co.uk",), "ann@shop.co.uk", "DMARC passed for co.uk"),
        (("mx.example.com; dmarc=pass header.from=example",), "ann@shop.example", "DMARC passed for example"),
        (("mx.example.com; dmarc=pass",), "ann@shop.example", "does not say for which domain"),
        (
            ("mx.example.com; dkim=pass header.d=shop.example",),
            "ann@shop.example",
            "says nothing about DMARC",
        ),
        (('mx.example.com; x="; dmarc=pass header.from=shop.example',), "ann@shop.example", "nothing about"),
        (("mx.example.com (; dmarc=pass header.from=shop.example",), "ann@shop.example", "nothing about"),
        (("mx.example.com; none",), "ann@shop.example", "says nothing about DMARC"),
        (("",), "ann@shop.example", "no Authentication-Results by"),
    ],
)
def test_anything_else_does_not_vouch(headers: tuple[str, ...], sender: str, words: str) -> None:
    vouches, why = judge(*headers, sender=sender)
    assert not vouches
    assert words in why


def test_only_the_topmost_header_of_our_server_counts() -> None:
    failed = PASS.replace("dmarc=pass", "dmarc=fail")
    assert not judge(failed, PASS)[0]  # the lower one came with the mail
    assert judge(PASS, failed)[0]
    assert judge("other.example; dmarc=fail header.from=shop.example", PASS)[0]


def test_a_from_header_that_is_not_plain_is_never_vouched_for() -> None:
    assert judge(PASS, trusted=False) == (
        False,
        "the From header is malformed or names more than one sender",
    )


def test_without_an_authserv_id_nobody_is_vouched_for() -> None:
    assert not vouched([PASS], authserv_id=None, from_address="ann@shop.example", from_trusted=True)[0]


@pytest.mark.parametrize("value", ["(" * 50_000, '"' + "\\" * 50_000, ";" * 50_000, "a=" * 50_000, " \t\r\n"])
def test_a_hostile_header_costs_nothing(value: str) -> None:
    parse(value)
