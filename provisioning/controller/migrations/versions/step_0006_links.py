"""Links by their targets, for the page that looks a code up."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables; they are filled from the log."""
    code = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "registry_links",
        sa.Column("source", code, primary_key=True),
        sa.Column("type", sa.String(32), primary_key=True),
        sa.Column("target", code, primary_key=True),
    )
    op.create_index("registry_links_target", "registry_links", ["target", "type", "source"])
    op.create_table(
        "registry_followed",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("links", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "registry_schemes",
        sa.Column("scheme", sa.String(32), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
