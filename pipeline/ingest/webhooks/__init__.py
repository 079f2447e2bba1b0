"""Webhook sources, one module each, all of the shape in `shape`."""

from pipeline.ingest.webhooks import generic
from pipeline.ingest.webhooks.shape import Adapter

ADAPTERS: dict[str, Adapter] = {generic.NAME: generic}
