"""Links by their targets, beside the registry's own tables; made from the log, and made anew where they are lost."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from provisioning.registry.tables import Code, metadata

links = Table(
    "registry_links",
    metadata,
    Column("source", Code, primary_key=True),
    Column("type", String(32), primary_key=True),
    Column("target", Code, primary_key=True),
    Index("registry_links_target", "target", "type", "source"),
)

followed = Table(  # one row
    "registry_followed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("applied", BigInteger, nullable=False),  # changes of the log that are in ``links`` and ``schemes``
    Column("links", BigInteger, nullable=False),
)

schemes = Table(
    "registry_schemes",
    metadata,
    Column("scheme", String(32), primary_key=True),
    Column("count", BigInteger, nullable=False),
)
