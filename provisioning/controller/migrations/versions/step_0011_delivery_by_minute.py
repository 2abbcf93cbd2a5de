"""What boxes tell of their screens, by minutes."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "delivery_minutes",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True),
        sa.Column("zone", sa.String(32), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
    )
