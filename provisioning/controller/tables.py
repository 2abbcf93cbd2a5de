"""What the controller keeps. Times are RFC 3339 UTC texts of one width, so that both databases sort them alike."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER column

boxes = Table(
    "boxes",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("first_seen", String(32), nullable=False),
    Column("last_seen", String(32), nullable=False),
    Column("agreement", String(8), nullable=False, default="unknown"),
    Column("agreement_since", String(32), nullable=False, default=""),
)

records = Table(
    "records",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("box", String(63), nullable=False),
    Column("id", String(36), nullable=False),
    Column("seq", BigInteger, nullable=False),  # the box's spool gave it
    Column("kind", String(16), nullable=False),
    Column("time", String(32), nullable=False),
    Column("source", String(64), nullable=False),
    Column("received", String(32), nullable=False),
    Column("body", Text, nullable=False),  # JSON
    UniqueConstraint("box", "id", name="records_once"),
    Index("records_by_kind", "kind", "box", "number"),
)

counts = Table(  # records by kind, kept in the transaction that stores them
    "record_counts",
    metadata,
    Column("box", String(63), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("records", BigInteger, nullable=False),
)

usage = Table(  # what was delivered, kept in the transaction that stores the records
    "usage_totals",
    metadata,
    Column("box", String(63), primary_key=True),
    Column("release", String(256), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("misses", BigInteger, nullable=False),
)

usage_days = Table(  # the same by day, for settlement
    "usage_days",
    metadata,
    Column("box", String(63), primary_key=True),
    Column("day", String(10), primary_key=True),  # UTC
    Column("body", String(64), primary_key=True),
    Column("release", String(256), primary_key=True),
    Column("zone", String(32), primary_key=True),
    Column("screen", String(16), primary_key=True),  # class: big, small
    Column("requests", BigInteger, nullable=False),
    Column("broken", BigInteger, nullable=False),  # of these, broken off
    Column("bytes", BigInteger, nullable=False),
    Column("hit_bytes", BigInteger, nullable=False),  # of these, from the store
    Index("usage_days_of_a_body", "body", "day"),
)

audits = Table(
    "audits",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("box", String(63), nullable=False),
    Column("id", String(36), nullable=False),
    Column("time", String(32), nullable=False),
    Column("source", String(64), nullable=False),
    Column("decision", String(32), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("told", String(300), nullable=False),
    Index("audits_by_decision", "decision", "time"),
)

box_metrics = Table(
    "box_metrics",
    metadata,
    Column("box", String(63), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("value", Text, nullable=False),  # JSON
    Column("time", String(32), nullable=False),
)

delivery_minutes = (
    Table(  # what boxes told of their screens: sums since their daemons' start, the last telling of each minute
        "delivery_minutes",
        metadata,
        Column("box", String(63), primary_key=True),
        Column("minute", BigInteger, primary_key=True),  # since 1970
        Column("zone", String(32), primary_key=True),  # empty: of the whole box
        Column("at", Float, nullable=False),  # seconds since 1970
        Column("told", Text, nullable=False),  # as the box told it
    )
)

damaged = (
    Table(  # what boxes sent and nobody can read: kept to be looked at, and acknowledged so that the rest moves on
        "damaged_records",
        metadata,
        Column("box", String(63), primary_key=True),
        Column("id", String(36), primary_key=True),
        Column("received", String(32), nullable=False),
        Column("fault", String(300), nullable=False),
    )
)

journals = Table(  # the boxes' journals as their witness saw them last
    "journals",
    metadata,
    Column("box", String(63), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("key", String(400), nullable=False),  # pinned at first sight
    Column("origin", String(200), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", String(44), nullable=False),
    Column("checkpoint", Text, nullable=False),  # with our countersignature
    Column("recent", Text, nullable=False),  # JSON: the heads before
    Column("cosigned", String(32), nullable=False),
    Column("heard", String(32), nullable=False),
    Column("waiting", String(32), nullable=False),  # since when the newest one could not be countersigned
    Column("fault", String(32), nullable=False),
    Column("told", String(300), nullable=False),
    Column("since", String(32), nullable=False),  # when the fault was first seen
)

journal_faults = Table(  # what was not countersigned and why, with what the box sent: evidence
    "journal_faults",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("box", String(63), nullable=False),
    Column("name", String(32), nullable=False),
    Column("time", String(32), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("told", String(300), nullable=False),
    Column("evidence", Text, nullable=False),
)
