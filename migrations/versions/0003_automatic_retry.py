"""Automatic retries of imports, and how long an attempt's virt-v2v has stood still."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("vm_imports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("automatic_retries", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("still_seconds", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("io_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    # What waits between two attempts has none that an older program could go on with.
    op.execute(
        "UPDATE vm_imports SET state = 'queued', direction = 'forward' WHERE next_attempt_at IS NOT NULL"
    )
    op.execute("UPDATE vm_imports SET direction = 'back' WHERE direction = 'again'")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_column("io_bytes")
        batch_op.drop_column("still_seconds")
    with op.batch_alter_table("vm_imports", schema=None) as batch_op:
        batch_op.drop_column("next_attempt_at")
        batch_op.drop_column("automatic_retries")
