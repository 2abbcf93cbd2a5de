"""The registry follows its log; what was registered before it had one is not carried over."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the registry's tables anew."""
    code = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.drop_table("identifiers_published")
    op.drop_table("identifiers")
    op.create_table(
        "identifiers",
        sa.Column("code", code, primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("signed", sa.String(32), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "statements",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("signed", sa.String(32), nullable=False),
        sa.Column("taken", sa.String(32), nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.Integer, nullable=False),
        sa.Column("unchanged", sa.Integer, nullable=False),
    )
    op.create_table(
        "registry_state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "registry_services",
        sa.Column("service", sa.String(6), primary_key=True),
        sa.Column("link", sa.Integer, nullable=False),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
    )
    op.create_table(
        "registry_blocks",
        sa.Column("part", code, primary_key=True),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("box", sa.String(63), nullable=False, index=True),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
    )
    op.create_table(
        "registry_handed",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("box", sa.String(63), nullable=False, index=True),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("told", sa.Text, nullable=False),
    )
