"""The boxes' journals, as their witness saw them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the witness's tables."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "journals",
        sa.Column("box", sa.String(63), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.String(44), nullable=False),
        sa.Column("checkpoint", sa.Text, nullable=False),
        sa.Column("recent", sa.Text, nullable=False),
        sa.Column("cosigned", sa.String(32), nullable=False),
        sa.Column("heard", sa.String(32), nullable=False),
        sa.Column("waiting", sa.String(32), nullable=False),
        sa.Column("fault", sa.String(32), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
    )
    op.create_table(
        "journal_faults",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("box", sa.String(63), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
    )
