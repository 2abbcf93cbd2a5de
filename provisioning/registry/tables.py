"""What the registry keeps in the controller's database; ``metadata`` is for the controller's migrations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

metadata = MetaData()

identifiers = Table(
    "identifiers",
    metadata,
    Column("code", String(600), primary_key=True),  # canonical, at most 256 bytes of UTF-8 and the scheme
    Column("status", String(16), nullable=False, index=True),
    Column("title", String(400), nullable=False),
    Column("body", String(64), nullable=False, index=True),
    Column("document", Text, nullable=False),  # the whole record as JSON, what snapshots carry
    Column("changed", String(40), nullable=False),  # RFC 3339, UTC
)

published = Table(  # one row: what the last snapshot was
    "identifiers_published",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the records, to see whether anything changed
    Column("made", String(40), nullable=False),
)
