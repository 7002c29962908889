"""Why an import waits is computed when it is read, and kept no more."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("vm_imports", schema=None) as batch_op:
        batch_op.drop_column("queue_reason")


def downgrade() -> None:
    with op.batch_alter_table("vm_imports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("queue_reason", sa.String(), nullable=True))
