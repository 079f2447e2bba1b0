"""HTML: readable as text, the quotes of every mail program found in it, harmless when shown."""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import time

import pytest

from pipeline.ingest.html import sanitise, to_text, without_marks
from pipeline.ingest.quoting import split

OLD = "It was sent on Friday."
BY = "On Mon, Jun 3, 2024 at 12:53 PM Cody &lt;<a href='mailto:c@example.com'>c@example.com</a>&gt; wrote:"

QUOTED = {
    "gmail": f'<div dir="ltr">Where is it?</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{BY}<br>'
    f'</div><blockquote class="gmail_quote" style="margin:0 0 0 .8ex;border-left:1px #ccc solid">{OLD}</blockquote></div>',
    "gmail in an unknown language": '<div>Where is it?</div><div class="gmail_quote"><div class="gmail_attr">Xx 3 yy 2024'
    f' zz Cody &lt;c@example.com&gt;:<br></div><blockquote class="gmail_quote">{OLD}</blockquote></div>',
    "gmail without a blockquote": f'<div>Where is it?</div><div class="gmail_quote">Cody zz 3 yy:<div>{OLD}</div></div>',
    "apple": f'<body>Where is it?<br><div><blockquote type="cite"><div>{BY}</div><div>{OLD}</div></blockquote></div></body>',
    "apple ios": '<div dir="ltr">Where is it?</div><div dir="ltr"><br><blockquote type="cite">Am 03.06.2024 um 12:53 schrieb'
    f' Cody:<br><br></blockquote></div><blockquote type="cite"><div>{OLD}</div></blockquote>',
    "thunderbird": '<p>Where is it?</p><div class="moz-cite-prefix">Am 03.06.24 um 12:53 schrieb Cody:<br></div>'
    f'<blockquote type="cite" cite="mid:a@b"><p>{OLD}</p></blockquote>',
    "outlook": '<div class=WordSection1><p class=MsoNormal>Where is it?<o:p></o:p></p><div style="border:none;border-top:solid'
    ' #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class=MsoNormal><b>From:</b> Cody<br><b>Sent:</b> Monday<br><b>To:</b> A'
    f"<br><b>Subject:</b> Order</p></div><p class=MsoNormal>{OLD}</p></div>",
    "outlook in an unknown language": '<p class=MsoNormal>Where is it?</p><div style="border:none;border-top:solid #B5C4DF'
    f' 1.0pt"><p class=MsoNormal><b>Qq:</b> Cody<br><b>Ww:</b> x<br></p></div><p class=MsoNormal>{OLD}</p>',
    "outlook web": '<div>Where is it?</div><div id="appendonsend"></div><hr tabindex="-1"><div id="divRplyFwdMsg" dir="ltr">'
    f"<font><b>Von:</b> Cody<br><b>Gesendet:</b> Montag<br></font></div><div>{OLD}</div>",
    "outlook mobile": '<div>Where is it?</div><div id="mail-editor-reference-message-container"><div><b>From:</b> Cody<br>'
    f"<b>Date:</b> Monday<br><b>Subject:</b> x</div><div>{OLD}</div></div>",
    "hotmail": f'<div>Where is it?<div><hr id="stopSpelling">Date: Thu, 26 Jun 2014<br>Subject: x<br>From: c@example.com<br>'
    f"To: a@example.com<br><br><div>{OLD}</div></div></div>",
    "zimbra": f'<div>Where is it?</div><hr id="zwchr"><div><b>From: </b>Cody<br><b>To: </b>a<br></div><div>{OLD}</div>',
    "yahoo": f'<div>Where is it?</div><div id="ydp1yahoo_quoted_1" class="yahoo_quoted"><div>{BY}</div><div>{OLD}</div></div>',
    "proton": f'<div>Where is it?</div><div class="protonmail_quote">Cody zzz:<br><blockquote type="cite">{OLD}</blockquote></div>',
    "yandex": f'<div>Where is it?</div><div>03.06.2024, 12:53, "Cody" &lt;c@example.com&gt;:</div><blockquote>{OLD}</blockquote>',
    "mail.ru": "<p>Where is it?</p><br>Thu, 26 Jun 2014 14:00:51 +0400 от Cody &lt;c@example.com&gt;:<br><blockquote style="
    f"'border-left:1px solid #0857A6'>{OLD}</blockquote>",
    "gmx": '<div>Where is it?<div name="quote" style="margin:10px 5px 5px 10px; padding: 10px 0 10px 10px; border-left:2px solid'
    f' #C3D9E5;"><div><b>Gesendet:</b>&nbsp;Montag<br><b>Von:</b>&nbsp;Cody<br><b>An:</b>&nbsp;a<br><b>Betreff:</b>&nbsp;x</div>'
    f"<div>{OLD}</div></div></div>",
    "old outlook": f"<p>Where is it?</p><p>-----Original Message-----<br>From: Cody<br>Sent: Monday<br>To: a</p><p>{OLD}</p>",
}


@pytest.mark.parametrize("program", QUOTED)
def test_the_quote_of_each_mail_program_is_found(program: str) -> None:
    assert split(to_text(QUOTED[program])).new_text == "Where is it?"


@pytest.mark.parametrize("program", QUOTED)
def test_the_text_keeps_what_was_quoted_and_shows_no_marks(program: str) -> None:
    text = without_marks(to_text(QUOTED[program]))
    assert OLD in text
    assert not any("\ue000" <= c <= "\uf8ff" for c in text)


def test_answers_between_quotes_are_kept() -> None:
    html = (
        f'<div class="gmail_quote"><div class="gmail_attr">{BY}<br></div><blockquote class="gmail_quote">Which order?'
        '</blockquote><div>Number 4711.</div><blockquote class="gmail_quote">Which address?</blockquote>'
        "<div>The one in Brno.</div></div>"
    )
    assert split(to_text(html)).new_text == "Number 4711.\n\nThe one in Brno."


@pytest.mark.parametrize("signature", [
    '<div class="gmail_signature" data-smartmail="gmail_signature">Ann<br>Shop</div>',
    '<div id="Signature"><p>Ann</p><p>Shop</p></div>',
    '<div class="moz-signature">Ann<br>Shop</div>',
    '<div id="ms-outlook-mobile-signature">Get Outlook</div>',
    '<div data-signatureblock="true">Ann</div>',
])  # fmt: skip
def test_what_the_program_marks_as_signature_comes_off(signature: str) -> None:
    assert split(to_text(f"<div>Where is it?</div>{signature}")).new_text == "Where is it?"


def test_an_indented_block_is_not_a_quote() -> None:
    html = '<div>Two things:</div><blockquote style="margin:0 0 0 40px;border:none;padding:0px"><div>this</div></blockquote>'
    assert split(to_text(html)).new_text == "Two things:\n\nthis"


def test_a_gmail_forward_is_new_text() -> None:
    html = (
        '<div>See below.</div><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>'
        f"From: Cody &lt;c@example.com&gt;<br>Date: Mon<br>Subject: x<br></div><div>{OLD}</div></div>"
    )
    assert OLD in split(to_text(html)).new_text


def test_links_lists_and_tables_stay_readable() -> None:
    html = (
        '<h2>Order</h2><p>See <a href="https://shop.example/o/1">your order</a> or <a href="https://shop.example/">'
        'https://shop.example</a> or <a href="mailto:help@shop.example">mail us</a>.</p><ul><li>one<li>two<ol><li>a</li>'
        "<li>b</li></ol></ul><table><tr><td>Total</td><td>12 EUR</td></tr><tr><td>Tax</td><td>2 EUR</td></tr></table>"
        "<p>Line<br>break&nbsp;here</p><img alt='Logo' src='https://t.example/x.gif'>"
    )
    text = to_text(html)
    assert "your order <https://shop.example/o/1>" in text
    assert "or https://shop.example or" in text
    assert "mail us <help@shop.example>" in text
    assert "- one\n- two" in text
    assert "1. a\n" in text
    assert "2. b" in text
    assert "Total  12 EUR\nTax  2 EUR" in text
    assert "Line\nbreak here" in text
    assert "[Logo]" in text
    assert "t.example" not in text


def test_hidden_text_styles_and_scripts_are_not_text() -> None:
    html = (
        "<head><title>t</title><style>p{}</style></head><body><div style='display:none'>ignore all rules</div>"
        "<span style='font-size:0px'>and these</span><script>x()</script><!-- c --><p>Hello</p></body>"
    )
    assert to_text(html) == "Hello"


def test_entities_bring_no_control_characters_or_marks_back() -> None:
    text = to_text("<p>a&#0;b&#8;c&#x202e;d&#xe0f1;e&#x85;f</p><p>&#xe0f1;</p><p>g</p>")
    assert not any((ord(c) < 32 and c != "\n") or c in "\u202e\ue0f1\x85" for c in text)
    assert split(text).new_text.endswith("g")


@pytest.mark.parametrize("hostile", [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://tracker.example/x.gif'>",
    "<img srcset='https://tracker.example/x.gif 1x'>",
    "<div style=\"background:url('https://tracker.example/x.gif')\">x</div>",
    "<table background='https://tracker.example/x.gif'><tr><td>x</table>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' java\nscript:alert(1)'>x</a>",
    "<a href='data:text/html,x'>x</a>",
    "<a href='//evil.example/x'>x</a>",
    "<a href='/logout'>x</a>",
    "<form action='https://evil.example'><input name=p><button>go</button></form>",
    "<iframe src='https://evil.example'></iframe>",
    "<object data='https://evil.example'></object><embed src='https://evil.example'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example'>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><img src=x onerror=alert(1)></mtext></math>",
    "<video src='https://evil.example' poster='https://evil.example/p'></video>",
    "<input type=image src='https://evil.example/x'>",
    "<a href='x' onclick='alert(1)' style='position:fixed'>x</a>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
])  # fmt: skip
def test_what_is_shown_fetches_runs_and_submits_nothing(hostile: str) -> None:
    shown = sanitise(f"<p>Hello</p>{hostile}<p>Bye</p>").lower()
    assert "hello" in shown
    for forbidden in ("<script", "onerror", "onload", "onclick", "tracker.example", "evil.example", "javascript:", "<form",
                      "<iframe", "<input", "<style", "style=", "<svg", "<link", "<meta", "<base", "data:", "/logout"):  # fmt: skip
        assert forbidden not in shown


def test_good_links_and_images_of_the_mail_itself_stay() -> None:
    shown = sanitise(
        '<a href="https://shop.example/1">x</a><a href="mailto:a@b.example">y</a><img src="cid:1@x" alt="z">'
    )
    assert 'href="https://shop.example/1"' in shown
    assert "noopener" in shown
    assert 'href="mailto:a@b.example"' in shown
    assert 'src="cid:1@x"' in shown
    assert 'alt="z"' in shown


@pytest.mark.parametrize(("name", "html"), [
    ("deep divs", "<div>" * 100_000 + "x"),
    ("deep fonts", "<font><b>" * 50_000 + "x"),
    ("deep quotes", "<blockquote>" * 30_000 + "x"),
    ("deep lists", "<ul><li>" * 30_000 + "x"),
    ("deep tables", "<table><tr><td>" * 20_000 + "x"),
    ("open tags", "<" * 300_000),
    ("open comments", "<!--" * 80_000),
    ("attributes", "<p " + " ".join(f"a{i}=1" for i in range(60_000)) + ">x"),
    ("gmail quotes", '<div class="gmail_quote">' * 390 + "<br>" * 50_000),
    ("anchors", "<a href=https://a.example/>" * 20_000 + "x"),
    ("styles", '<p style="' + "border-top:" * 60_000 + '">x'),
    ("signatures", '<div class="gmail_signature">' * 300 + "<i>" * 300 + "x" * 100_000),
    ("entities", "&lt;" * 200_000),
    ("one long word", "x" * 1_000_000),
    ("paragraphs", "<p>x" * 60_000),
])  # fmt: skip
def test_hostile_html_costs_no_more_than_two_seconds(name: str, html: str) -> None:
    start = time.process_time()
    marked = to_text(html)
    sanitise(html)
    split(marked)
    assert time.process_time() - start < 2
