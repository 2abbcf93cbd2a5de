"""What the registry keeps in the controller's database; ``metadata`` is for the controller's migrations.

The log leads: all of this but services and blocks can be made anew from it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

metadata = MetaData()
# In the order of their bytes, as snapshots are, whatever the database's own language is.
Code = Text().with_variant(Text(collation="C"), "postgresql")

identifiers = Table(
    "identifiers",
    metadata,
    Column("code", Code, primary_key=True),  # canonical
    Column("status", String(16), nullable=False),
    Column("body", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),  # of its newest change in the log, from 1
    Column("signed", String(32), nullable=False),  # when its body signed that
    Column("document", Text, nullable=False),  # the record's dump
)

statements = Table(  # of which something is in the log
    "statements",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("act", String(16), nullable=False),
    Column("body", String(64), nullable=False),
    Column("signed", String(32), nullable=False),
    Column("taken", String(32), nullable=False),
    Column("first", BigInteger, nullable=False),  # number of its first change
    Column("changed", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
)

state = Table(  # one row
    "registry_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("applied", BigInteger, nullable=False),  # changes of the log that are in ``identifiers``
    Column("records", BigInteger, nullable=False),
)

services = Table(
    "registry_services",
    metadata,
    Column("service", String(6), primary_key=True),
    Column("link", Integer, nullable=False),  # digits of its link codes
    Column("body", String(64), nullable=False),
    Column("name", String(400), nullable=False),
    Column("time", String(32), nullable=False),
    Column("envelope", Text, nullable=False),  # what the operator signed
)

blocks = Table(  # leading parts of codes that only one box of a body gives out
    "registry_blocks",
    metadata,
    Column("part", Code, primary_key=True),
    Column("body", String(64), nullable=False),
    Column("box", String(63), nullable=False, index=True),
    Column("time", String(32), nullable=False),
    Column("envelope", Text, nullable=False),  # what the body signed
)

handed = Table(  # registrations that boxes handed in, and what became of them
    "registry_handed",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("box", String(63), nullable=False, index=True),
    Column("time", String(32), nullable=False),
    Column("reason", String(64), nullable=False),  # empty: taken
    Column("told", Text, nullable=False),  # JSON
)

inbox = Table(  # one row: up to which of the boxes' records their registrations were taken
    "registry_inbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
