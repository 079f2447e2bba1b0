"""Delivery reports in the wordings of many mail systems: who was not reached, and for good or not."""

# ruff: noqa: E501 - mails stand as they arrive

from __future__ import annotations

import pytest

from pipeline.ingest.message import ParsedMessage
from pipeline.ingest.mime import parse

RCPT = "nobody@example.net"
ORIGINAL = (
    "Message-ID: <reply-7@shop.example>\r\nReferences: <q@example.net> <reply-6@shop.example>\r\nFrom: shop@shop.example\r\n"
    f"To: {RCPT}\r\nSubject: Re: Order\r\n\r\nHello\r\n"
)


def report(
    fields: str, *, returned: str = "message/rfc822", head: str = "", text: str = "It was not delivered."
) -> ParsedMessage:
    return parse((
        "Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.com>\r\nTo: shop@shop.example\r\n"
        f"Subject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b@mx>\r\n{head}"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; mx.example.com\r\n\r\n{fields}\r\n\r\n--b\r\nContent-Type: {returned}\r\n\r\n{ORIGINAL}\r\n--b--\r\n"
    ).encode())  # fmt: skip


def plain(text: str, subject: str = "Undelivered Mail Returned to Sender", sender: str = "MAILER-DAEMON@mx.example.com",
          head: str = "Return-Path: <>\r\n") -> ParsedMessage:  # fmt: skip
    return parse(
        f"{head}From: {sender}\r\nTo: shop@shop.example\r\nSubject: {subject}\r\n\r\n{text}".encode()
    )


def told(got: ParsedMessage) -> list[tuple[str, bool, str | None]]:
    assert got.kind == "bounce", (got.kind, got.kind_reason)
    assert got.bounce
    assert got.kind_reason
    return [(r.address, r.permanent, r.status) for r in got.bounce.recipients]


def test_a_standard_report_names_recipient_status_and_the_mail_that_came_back() -> None:
    got = report(
        f"Final-Recipient: rfc822; {RCPT}\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 unknown"
    )
    assert told(got) == [(RCPT, True, "5.1.1")]
    assert got.bounce
    assert got.bounce.original_message_id == "reply-7@shop.example"
    assert got.bounce.original_references == ("q@example.net", "reply-6@shop.example")


@pytest.mark.parametrize(("fields", "expected"), [
    (f"Final-Recipient: rfc822;{RCPT}\r\nAction: delayed\r\nStatus: 4.4.1", [(RCPT, False, "4.4.1")]),
    (f"Original-Recipient: rfc822;{RCPT}\r\nFinal-Recipient: rfc822;x@other.example\r\nAction: failed\r\nStatus: 5.0.0",
     [(RCPT, True, "5.0.0")]),
    (f"Final-Recipient: rfc822;{RCPT}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\nFinal-Recipient: RFC822; b@example.net\r\n"
     "Action: Failed\r\nStatus: 5.2.2 (full)", [(RCPT, True, "5.1.1"), ("b@example.net", True, "5.2.2")]),
    (f"Final-Recipient: rfc822;<{RCPT}>\r\nAction: failed", [(RCPT, True, None)]),
    (f"Final-Recipient: {RCPT}\r\nAction: failed\r\nDiagnostic-Code: smtp;550 5.7.1 no", [(RCPT, True, "5.7.1")]),
    (f"Final-Recipient: rfc822;{RCPT}\r\nStatus: 4.2.2", [(RCPT, False, "4.2.2")]),
])  # fmt: skip
def test_the_fields_of_a_report(fields: str, expected: list[tuple[str, bool, str | None]]) -> None:
    assert told(report(fields)) == expected


def test_a_report_of_success_is_no_bounce() -> None:
    got = report(f"Final-Recipient: rfc822;{RCPT}\r\nAction: delivered\r\nStatus: 2.0.0")
    assert got.kind == "auto_reply"
    assert got.bounce is None


def test_headers_alone_may_come_back() -> None:
    got = report(
        f"Final-Recipient: rfc822;{RCPT}\r\nAction: failed\r\nStatus: 5.1.1", returned="text/rfc822-headers"
    )
    assert got.bounce
    assert got.bounce.original_message_id == "reply-7@shop.example"


SYSTEMS = {
    "postfix": f"""I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

                   The mail system

<{RCPT}>: host mx.example.net[192.0.2.1] said: 550 5.1.1
    <{RCPT}>: Recipient address rejected: User unknown (in reply to RCPT TO command)
""",
    "exim": f"""A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {RCPT}
    SMTP error from remote mail server after RCPT TO:<{RCPT}>:
    host mx.example.net [192.0.2.1]: 550 No such user here

------ This is a copy of the message, including all the headers. ------

Return-path: <shop@shop.example>
To: other@example.net
""",
    "qmail": f"""Hi. This is the qmail-send program at mx.example.com.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{RCPT}>:
192.0.2.1 does not like recipient.
Remote host said: 550 sorry, no mailbox here by that name (#5.1.1)
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

Return-Path: <shop@shop.example>
To: other@example.net
""",
    "sendmail": f"""The original message was received at Mon, 3 Jun 2024 12:53:10 +0200
from localhost [127.0.0.1]

   ----- The following addresses had permanent fatal errors -----
<{RCPT}>
    (reason: 550 5.1.1 User unknown)

   ----- Transcript of session follows -----
... while talking to mx.example.net.:
>>> DATA
<<< 550 5.1.1 User unknown
550 5.1.1 <{RCPT}>... User unknown
""",
    "exchange": f"""Your message did not reach some or all of the intended recipients.

      Subject:  Re: Order
      Sent:     6/3/2024 12:53 PM

The following recipient(s) cannot be reached:

      {RCPT} on 6/3/2024 12:53 PM
            The e-mail account does not exist at the organization this message was sent to.
            <mx.example.com #5.1.1>
""",
    "exchange 2007": f"""Delivery has failed to these recipients or distribution lists:

{RCPT}
The recipient's e-mail address was not found in the recipient's e-mail system.

Diagnostic information for administrators:

Generating server: mx.example.com

{RCPT}
#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##
""",
    "office 365": f"""Your message to {RCPT} couldn't be delivered.

nobody wasn't found at example.net.

How to Fix It
The address may be misspelled or may not exist.
""",
    "gmail": f"""** Address not found **

Your message wasn't delivered to {RCPT} because the address couldn't be found, or is unable to receive mail.

The response was:

550 5.1.1 The email account that you tried to reach does not exist.
""",
    "yahoo": f"""Sorry, we were unable to deliver your message to the following address.

<{RCPT}>:
554: delivery error: dd This user doesn't have a yahoo.com account ({RCPT}) [0]

--- Below this line is a copy of the message.

To: other@example.net
""",
    "lotus": f"""Your message

  Subject: Re: Order

was not delivered to:

  {RCPT}

because:

  User nobody (nobody@example.net) not listed in public Name & Address Book
""",
    "groupwise": f"""The message that you sent was undeliverable to the following:
\t{RCPT} (user not found)

Possibly truncated original message follows:
To: other@example.net
""",
    "imail": f"""Unknown user: {RCPT}

RCPT TO generated following response:
550 5.1.1 unknown

Original message follows.

To: other@example.net
""",
    "smtp32": f"""undeliverable to {RCPT}

Original message follows.
""",
    "full": f"""User mailbox exceeds allowed size: {RCPT}
""",
    "mdaemon": f"""The following addresses did NOT receive a copy of your message:

> {RCPT}

--- Session Transcript ---
 RCPT To:<other@example.net>
""",
    "courier": f"""This is a delivery status notification from mx.example.com,
running the Courier mail server, version 0.65.

The original message was received on Mon, 03 Jun 2024 12:53:10 +0200

---------------------------------------------------------------------------

                           UNDELIVERABLE MAIL

Your message to the following recipients cannot be delivered:

<{RCPT}>:
    mx.example.net [192.0.2.1]:
<<< 550 User does not exist
""",
    "ezweb": f"""The user(s) account is disabled.

<{RCPT}>: 550 Unknown user
""",
    "interscan": f"""****** Message from InterScan Messaging Security Suite ******

Sent <<< RCPT TO:<{RCPT}>
Received >>> 550 5.1.1 <{RCPT}>... user unknown

Unable to deliver message to <{RCPT}>.
""",
    "1und1": f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of
its recipients. The following addresses failed:

    <{RCPT}>

SMTP error from remote server after RCPT command:
host mx.example.net[192.0.2.1]:
550 no such user

--- The header of the original message is following. ---

To: other@example.net
""",
    "german": f"""Ihre Nachricht konnte nicht zugestellt werden. Folgende Empfänger wurden nicht erreicht:

{RCPT}
Der Empfänger ist unbekannt.
""",
    "french": f"""Votre message n'a pas pu être remis aux destinataires suivants :

{RCPT}
""",
    "spanish": f"""No se pudo entregar el mensaje a los siguientes destinatarios:

{RCPT}
""",
    "russian": f"""Ваше сообщение не доставлено следующим получателям:

{RCPT}: user not found
""",
    "japanese": f"""次の宛先にメールを配信できませんでした:

<{RCPT}>
""",
    "intended": f"""Intended recipient: {RCPT}

The following mail has been returned because it encountered an error.
""",
    "ses": f"""An error occurred while trying to deliver the mail to the following recipients:
{RCPT}
""",
    "mailmarshal": f"""Your message:
   From:    shop@shop.example
   Subject: Re: Order

Could not be delivered because of

550 5.1.1 User unknown

The following recipients were affected:
    {RCPT}
""",
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_mail_system_is_understood(system: str) -> None:
    assert [(a, p) for a, p, _ in told(plain(SYSTEMS[system]))] == [(RCPT, True)]


def test_the_header_of_exim_names_the_recipients() -> None:
    got = plain("A message could not be delivered.", head=f"X-Failed-Recipients: {RCPT}, b@example.net\r\n")
    assert [a for a, _, _ in told(got)] == [RCPT, "b@example.net"]


@pytest.mark.parametrize("text", [
    f"The address to which the message has not yet been delivered is:\n\n  {RCPT}\n\nNo action is required on your part. "
    "Delivery attempts will continue for some time.",
    f"This is a warning message only. You do not need to resend your message.\n\nDelivery to {RCPT} has been delayed.",
    f"Delivery to the following recipient has been delayed:\n\n     {RCPT}\n\nMessage will be retried for 2 more day(s)",
    f"Your message to\n{RCPT}\ncould not be delivered yet. We will keep trying for 5 days.",
])  # fmt: skip
def test_a_delay_is_not_permanent(text: str) -> None:
    assert [(a, p) for a, p, _ in told(plain(text, subject="Warning: message delayed 24 hours"))] == [
        (RCPT, False)
    ]


def test_a_report_without_a_recipient_is_still_one() -> None:
    got = plain("A message that you sent could not be delivered to one or more of its recipients.")
    assert got.kind == "bounce"
    assert got.bounce
    assert got.bounce.recipients == ()


@pytest.mark.parametrize(("subject", "text"), [
    ("Undelivered parcel", "My parcel was not delivered to ann@example.com's house. Where is it?"),
    ("Re: Undelivered Mail Returned to Sender", "I got this when I wrote to you at shop@shop.example. Please help."),
    ("Delivery failed", "The courier came twice and I was there. Can you send it again?"),
    ("Order", "The confirmation could not be delivered to bob@example.com, can you send it again?"),
])  # fmt: skip
def test_customers_who_write_about_deliveries_are_people(subject: str, text: str) -> None:
    got = plain(text, subject=subject, sender="Ann <ann@example.com>", head="Return-Path: <ann@example.com>\r\n"
                + ("In-Reply-To: <x@y>\r\n" if subject.startswith("Re") else ""))  # fmt: skip
    assert got.kind == "person", got.kind_reason


def test_a_user_named_without_a_domain_counts_more_than_an_address_in_the_advice() -> None:
    got = plain(
        "Your message was not delivered to the following:\n\n jsmith    unknown user\n\nWhoever has moved may be reached"
        " in the directory; write to FIRST.LAST@people.example.com instead.\n"
    )
    assert [address for address, _, _ in told(got)] == ["jsmith@mx.example.com"]
