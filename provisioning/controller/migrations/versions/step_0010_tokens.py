"""Withdrawals of tokens, which may end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column."""
    op.add_column("orders", sa.Column("until", sa.String(32), nullable=True))
