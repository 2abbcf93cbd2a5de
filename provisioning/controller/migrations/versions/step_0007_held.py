"""How much of each release each box's store holds."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "held",
        sa.Column("release", sa.String(256), primary_key=True),
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("objects", sa.BigInteger, nullable=False),
        sa.Column("of", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("of_bytes", sa.BigInteger, nullable=False),
    )
