"""Providers, and the inventories of their VMs."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "providers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("username", sa.String(), nullable=True),
        sa.Column("ssh", sa.JSON(), nullable=True),
        sa.Column("tls", sa.JSON(), nullable=True),
        sa.Column("proxy_host_id", sa.Uuid(), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("max_concurrent_imports", sa.Integer(), nullable=True),
        sa.Column("sealed_secrets", sa.LargeBinary(), nullable=True),
        sa.Column("has_password", sa.Boolean(), nullable=False),
        sa.Column("has_ssh_private_key", sa.Boolean(), nullable=False),
        sa.Column("has_ssh_password", sa.Boolean(), nullable=False),
        sa.Column("status", sa.JSON(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("vm_count", sa.Integer(), nullable=True),
        sa.Column("reading_id", sa.Uuid(), nullable=True),
        sa.Column("reading_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("inventory_problem", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["proxy_host_id"], ["proxy_hosts.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index(op.f("ix_providers_proxy_host_id"), "providers", ["proxy_host_id"], unique=False)
    op.create_table(
        "provider_vms",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("vm_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("provider_id", "vm_id"),
    )
    op.create_index(op.f("ix_provider_vms_name"), "provider_vms", ["name"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_provider_vms_name"), table_name="provider_vms")
    op.drop_table("provider_vms")
    op.drop_index(op.f("ix_providers_proxy_host_id"), table_name="providers")
    op.drop_table("providers")
