"""The registry of identifiers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the registry's tables."""
    op.create_table(
        "identifiers",
        sa.Column("code", sa.String(600), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("title", sa.String(400), nullable=False),
        sa.Column("body", sa.String(64), nullable=False, index=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("changed", sa.String(40), nullable=False),
    )
    op.create_table(
        "identifiers_published",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made", sa.String(40), nullable=False),
    )
