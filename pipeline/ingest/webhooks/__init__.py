"""Webhook sources, one module each, all of the shape in `shape`."""

from pipeline.ingest.webhooks import (
    chatwoot,
    freshdesk,
    front,
    generic,
    helpscout,
    intercom,
    mailgun,
    postmark,
    sendgrid,
    zammad,
    zendesk,
)
from pipeline.ingest.webhooks.shape import Adapter

ADAPTERS: dict[str, Adapter] = {
    generic.NAME: generic,
    postmark.NAME: postmark,
    mailgun.NAME: mailgun,
    sendgrid.NAME: sendgrid,
    zendesk.NAME: zendesk,
    zammad.NAME: zammad,
    chatwoot.NAME: chatwoot,
    intercom.NAME: intercom,
    helpscout.NAME: helpscout,
    freshdesk.NAME: freshdesk,
    front.NAME: front,
}
"""By the name that inboxes.toml calls them."""
