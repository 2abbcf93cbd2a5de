"""What was delivered, by day, body, release, zone and class of screen."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "usage_days",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("body", sa.String(64), primary_key=True),
        sa.Column("release", sa.String(256), primary_key=True),
        sa.Column("zone", sa.String(32), primary_key=True),
        sa.Column("screen", sa.String(16), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("broken", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("hit_bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("usage_days_of_a_body", "usage_days", ["body", "day"])
