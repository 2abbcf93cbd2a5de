"""Orders to withdraw and to reinstate with the boxes' proofs; releases as boxes admitted, refused and put them into quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "orders",
        sa.Column("serial", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("target", sa.String(256), nullable=False),
        sa.Column("reason", sa.String(400), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("received", sa.String(32), nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
    )
    op.create_index("orders_by_target", "orders", ["kind", "target", "serial"])
    op.create_table(
        "order_proofs",
        sa.Column("serial", sa.BigInteger, primary_key=True),
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("received", sa.String(32), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("verified", sa.String(16), nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("proof", sa.Text, nullable=False),
    )
    op.create_table(
        "order_faults",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
    )
    op.create_table(
        "releases",
        sa.Column("code", sa.String(256), primary_key=True),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("labels", sa.String(2200), nullable=False),
        sa.Column("zones", sa.String(400), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("published", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("withdrawn", sa.BigInteger, nullable=False),
    )
    op.create_index("releases_by_body", "releases", ["body", "code"])
    op.create_index("releases_by_time", "releases", ["time", "code"])
    op.create_table(
        "release_boxes",
        sa.Column("release", sa.String(256), primary_key=True),
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("admitted", sa.String(32), nullable=False),
        sa.Column("refused", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
    )
    op.create_index("release_boxes_refused", "release_boxes", ["refused"])
    op.create_table(
        "quarantined",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("box", sa.String(63), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("release", sa.String(256), nullable=False),
        sa.Column("path", sa.String(400), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
    )
    op.create_index("quarantined_by_box", "quarantined", ["box", "number"])
