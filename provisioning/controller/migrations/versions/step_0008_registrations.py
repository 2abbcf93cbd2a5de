"""Boxes hand in registrations, as records of a longer kind."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the inbox, and room for the kind's name (SQLite asks for none)."""
    op.create_table(
        "registry_inbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name != "sqlite":
        for table in ("records", "record_counts"):
            op.alter_column(table, "kind", type_=sa.String(16), existing_type=sa.String(8), existing_nullable=False)
