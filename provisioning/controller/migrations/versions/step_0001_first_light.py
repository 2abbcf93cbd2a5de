"""Boxes, records and what is counted from them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "boxes",
        sa.Column("site", sa.String(63), primary_key=True),
        sa.Column("first_seen", sa.String(32), nullable=False),
        sa.Column("last_seen", sa.String(32), nullable=False),
        sa.Column("agreement", sa.String(8), nullable=False),
        sa.Column("agreement_since", sa.String(32), nullable=False),
    )
    op.create_table(
        "records",
        sa.Column("number", _number, primary_key=True, autoincrement=True),
        sa.Column("box", sa.String(63), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("received", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("box", "id", name="records_once"),
    )
    op.create_index("records_by_kind", "records", ["kind", "box", "number"])
    op.create_table(
        "record_counts",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "usage_totals",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("release", sa.String(256), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("misses", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "audits",
        sa.Column("number", _number, primary_key=True, autoincrement=True),
        sa.Column("box", sa.String(63), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("decision", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
    )
    op.create_index("audits_by_decision", "audits", ["decision", "time"])
    op.create_table(
        "box_metrics",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
    )
    op.create_table(
        "damaged_records",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("received", sa.String(32), nullable=False),
        sa.Column("fault", sa.String(300), nullable=False),
    )
