"""What the controller keeps of releases: orders with their proofs, and what boxes said they admitted, refused and put aside."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, String, Table, Text

from provisioning.controller.tables import Number, metadata

orders = Table(
    "orders",
    metadata,
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("act", String(16), nullable=False),
    Column("kind", String(8), nullable=False),  # of gateway.release.orders: CONTENT, TOKENS or PURGED
    Column("target", String(256), nullable=False),
    Column("reason", String(400), nullable=False),
    Column("by", String(64), nullable=False),
    Column("time", String(32), nullable=False),  # as it was signed
    Column("received", String(32), nullable=False),
    Column("envelope", Text, nullable=False),
    Column("until", String(32), nullable=True),  # of a withdrawal of tokens that ends by itself
    Index("orders_by_target", "kind", "target", "serial"),
)

proofs = Table(
    "order_proofs",
    metadata,
    Column("serial", BigInteger, primary_key=True),
    Column("box", String(63), primary_key=True),
    Column("received", String(32), nullable=False),
    Column("seconds", Float, nullable=False),  # since the order was received here
    Column("verified", String(16), nullable=False),  # yes, unknown-key or wrong
    Column("entry", Text, nullable=False),  # JSON: the box's journal entry
    Column("proof", Text, nullable=False),  # c2sp.org/tlog-proof
)

faults = Table(  # why a box takes no more orders, until it does
    "order_faults",
    metadata,
    Column("box", String(63), primary_key=True),
    Column("time", String(32), nullable=False),
    Column("serial", BigInteger, nullable=False),  # that of the last order that it took
    Column("reason", String(64), nullable=False),
    Column("told", String(300), nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("code", String(256), primary_key=True),
    Column("body", String(64), nullable=False),
    Column("title", String(300), nullable=False),
    Column("labels", String(2200), nullable=False),  # with spaces around each
    Column("zones", String(400), nullable=False),
    Column("version", BigInteger, nullable=False),  # the newest that a box admitted; 0: none ever was
    Column("published", BigInteger, nullable=False),  # the version that the origin's folder has; 0: none
    Column("digest", String(64), nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("time", String(32), nullable=False),  # when a box last said something of it
    Column("withdrawn", BigInteger, nullable=False),  # serial of the order by which it is; 0: it is not
    Index("releases_by_body", "body", "code"),
    Index("releases_by_time", "time", "code"),
)

release_boxes = Table(
    "release_boxes",
    metadata,
    Column("release", String(256), primary_key=True),
    Column("box", String(63), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("admitted", String(32), nullable=False),  # empty: never
    Column("refused", String(32), nullable=False),  # empty: never
    Column("reason", String(64), nullable=False),
    Column("told", String(300), nullable=False),
    Index("release_boxes_refused", "refused"),
)

held = Table(  # what each box's store holds of a release, as it told last
    "held",
    metadata,
    Column("release", String(256), primary_key=True),
    Column("box", String(63), primary_key=True),
    Column("time", String(32), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("objects", BigInteger, nullable=False),
    Column("of", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("of_bytes", BigInteger, nullable=False),
)

quarantined = Table(
    "quarantined",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("box", String(63), nullable=False),
    Column("name", String(200), nullable=False),
    Column("time", String(32), nullable=False),
    Column("release", String(256), nullable=False),
    Column("path", String(400), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("told", String(300), nullable=False),
    Index("quarantined_by_box", "box", "number"),
)
