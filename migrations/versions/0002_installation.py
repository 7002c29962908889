"""The installation's own id, and attempts that were given up without being undone."""

import sqlalchemy as sa
from alembic import op
from uuid_utils.compat import uuid7

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    installation = op.create_table(
        "installation",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("number = 1", name="ck_installation_only"),
        sa.PrimaryKeyConstraint("number"),
    )
    op.bulk_insert(installation, [{"number": 1, "id": uuid7()}])
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("abandoned", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_column("abandoned")
    op.drop_table("installation")
