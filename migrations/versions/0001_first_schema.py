"""First schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_tokens_token_hash"), ["token_hash"], unique=True)

    op.create_table(
        "data_centers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "idempotency_records",
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_id", "method", "path", "key"),
    )
    op.create_table(
        "vm_imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("sealed_secrets", sa.LargeBinary(), nullable=True),
        sa.Column("data_center_id", sa.Uuid(), nullable=False),
        sa.Column("storage_domain_id", sa.Uuid(), nullable=True),
        sa.Column("provider_id", sa.Uuid(), nullable=True),
        sa.Column("proxy_host_id", sa.Uuid(), nullable=True),
        sa.Column("excluded_host_ids", sa.JSON(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("vm_id", sa.Uuid(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("start_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queue_reason", sa.String(), nullable=True),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retry", sa.JSON(), nullable=True),
        sa.Column("troubled_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("troubles", sa.Integer(), nullable=False),
        sa.Column("force_cancel", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("disk_progress", sa.JSON(), nullable=False),
        sa.Column("progress_seq", sa.Integer(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("published_version", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("wakes", sa.Integer(), nullable=False),
        sa.Column("wake_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("vm_imports", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_vm_imports_batch_id"), ["batch_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_vm_imports_data_center_id"), ["data_center_id"], unique=False)
        batch_op.create_index("ix_vm_imports_due", ["state", "wake_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_vm_imports_provider_id"), ["provider_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_vm_imports_proxy_host_id"), ["proxy_host_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_vm_imports_state"), ["state"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_vm_imports_storage_domain_id"), ["storage_domain_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_vm_imports_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host_name", sa.String(), nullable=False),
        sa.Column("process_id", sa.Integer(), nullable=False),
        sa.Column("beat", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("proxy_host_id", sa.Uuid(), nullable=True),
        sa.Column("storage_domain_id", sa.Uuid(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("followed", sa.Boolean(), nullable=False),
        sa.Column("log_bytes", sa.BigInteger(), nullable=False),
        sa.Column("kept_bytes", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("problem", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["vm_imports.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("import_id", "number"),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_followed"), ["followed"], unique=False)
        batch_op.create_index(batch_op.f("ix_attempts_import_id"), ["import_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_attempts_proxy_host_id"), ["proxy_host_id"], unique=False)

    op.create_table(
        "import_labels",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["vm_imports.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("import_id", "key"),
    )
    with op.batch_alter_table("import_labels", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_import_labels_value"), ["value"], unique=False)

    op.create_table(
        "proxy_hosts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("data_center_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(), nullable=False),
        sa.Column("sudo", sa.Boolean(), nullable=False),
        sa.Column("host_key", sa.String(), nullable=True),
        sa.Column("work_dir", sa.String(), nullable=False),
        sa.Column("virt_v2v_path", sa.String(), nullable=False),
        sa.Column("source_roots", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("max_concurrent_imports", sa.Integer(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("sealed_secrets", sa.LargeBinary(), nullable=True),
        sa.Column("has_private_key", sa.Boolean(), nullable=False),
        sa.Column("has_password", sa.Boolean(), nullable=False),
        sa.Column("status", sa.JSON(), nullable=False),
        sa.Column("watcher_worker_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_center_id"],
            ["data_centers.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("data_center_id", "name"),
    )
    with op.batch_alter_table("proxy_hosts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_proxy_hosts_data_center_id"), ["data_center_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_proxy_hosts_watcher_worker_id"), ["watcher_worker_id"], unique=False
        )

    op.create_table(
        "storage_domains",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("data_center_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("sealed_secrets", sa.LargeBinary(), nullable=True),
        sa.Column("max_concurrent_imports", sa.Integer(), nullable=True),
        sa.Column("status", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_center_id"],
            ["data_centers.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("data_center_id", "name"),
    )
    with op.batch_alter_table("storage_domains", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_storage_domains_data_center_id"), ["data_center_id"], unique=False
        )

    op.create_table(
        "stream_tickets",
        sa.Column("ticket_hash", sa.String(), nullable=False),
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["api_tokens.id"],
        ),
        sa.PrimaryKeyConstraint("ticket_hash"),
    )
    with op.batch_alter_table("stream_tickets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_stream_tickets_token_id"), ["token_id"], unique=False)

    op.create_table(
        "timeline",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["vm_imports.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_timeline_import_id"), ["import_id"], unique=False)

    op.create_table(
        "vm_names",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("data_center_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=True),
        sa.Column("vm_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["data_center_id"],
            ["data_centers.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("data_center_id", "name"),
    )
    with op.batch_alter_table("vm_names", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_vm_names_import_id"), ["import_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_vm_names_vm_id"), ["vm_id"], unique=False)

    op.create_table(
        "artifacts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_artifacts_attempt_id"), ["attempt_id"], unique=False)

    op.create_table(
        "log_chunks",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("attempt_id", "offset"),
    )
    op.create_table(
        "reservations",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("proxy_host_id", sa.Uuid(), nullable=False),
        sa.Column("storage_domain_id", sa.Uuid(), nullable=True),
        sa.Column("provider_id", sa.Uuid(), nullable=True),
        sa.Column("work_bytes", sa.BigInteger(), nullable=False),
        sa.Column("target_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("attempt_id"),
    )
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservations_import_id"), ["import_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reservations_provider_id"), ["provider_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_reservations_proxy_host_id"), ["proxy_host_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_reservations_storage_domain_id"), ["storage_domain_id"], unique=False
        )

    op.create_table(
        "vms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("data_center_id", sa.Uuid(), nullable=False),
        sa.Column("storage_domain_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=True),
        sa.Column("cpu_count", sa.Integer(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("os", sa.String(), nullable=True),
        sa.Column("firmware", sa.String(), nullable=True),
        sa.Column("nics", sa.JSON(), nullable=False),
        sa.Column("metadata_type", sa.String(), nullable=True),
        sa.Column("metadata_text", sa.Text(), nullable=True),
        sa.Column("made", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_center_id"],
            ["data_centers.id"],
        ),
        sa.ForeignKeyConstraint(
            ["storage_domain_id"],
            ["storage_domains.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("vms", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_vms_data_center_id"), ["data_center_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_vms_import_id"), ["import_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_vms_storage_domain_id"), ["storage_domain_id"], unique=False)

    op.create_table(
        "disks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("vm_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("capacity_bytes", sa.BigInteger(), nullable=False),
        sa.Column("actual_bytes", sa.BigInteger(), nullable=True),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("allocation", sa.String(), nullable=False),
        sa.Column("bus", sa.String(), nullable=True),
        sa.Column("proxy_host_id", sa.Uuid(), nullable=True),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["vm_id"],
            ["vms.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("disks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_disks_vm_id"), ["vm_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("disks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_disks_vm_id"))

    op.drop_table("disks")
    with op.batch_alter_table("vms", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_vms_storage_domain_id"))
        batch_op.drop_index(batch_op.f("ix_vms_import_id"))
        batch_op.drop_index(batch_op.f("ix_vms_data_center_id"))

    op.drop_table("vms")
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reservations_storage_domain_id"))
        batch_op.drop_index(batch_op.f("ix_reservations_proxy_host_id"))
        batch_op.drop_index(batch_op.f("ix_reservations_provider_id"))
        batch_op.drop_index(batch_op.f("ix_reservations_import_id"))

    op.drop_table("reservations")
    op.drop_table("log_chunks")
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_artifacts_attempt_id"))

    op.drop_table("artifacts")
    with op.batch_alter_table("vm_names", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_vm_names_vm_id"))
        batch_op.drop_index(batch_op.f("ix_vm_names_import_id"))

    op.drop_table("vm_names")
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_timeline_import_id"))

    op.drop_table("timeline")
    with op.batch_alter_table("stream_tickets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_stream_tickets_token_id"))

    op.drop_table("stream_tickets")
    with op.batch_alter_table("storage_domains", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_storage_domains_data_center_id"))

    op.drop_table("storage_domains")
    with op.batch_alter_table("proxy_hosts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_proxy_hosts_watcher_worker_id"))
        batch_op.drop_index(batch_op.f("ix_proxy_hosts_data_center_id"))

    op.drop_table("proxy_hosts")
    with op.batch_alter_table("import_labels", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_import_labels_value"))

    op.drop_table("import_labels")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_proxy_host_id"))
        batch_op.drop_index(batch_op.f("ix_attempts_import_id"))
        batch_op.drop_index(batch_op.f("ix_attempts_followed"))

    op.drop_table("attempts")
    op.drop_table("workers")
    with op.batch_alter_table("vm_imports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_vm_imports_worker_id"))
        batch_op.drop_index(batch_op.f("ix_vm_imports_storage_domain_id"))
        batch_op.drop_index(batch_op.f("ix_vm_imports_state"))
        batch_op.drop_index(batch_op.f("ix_vm_imports_proxy_host_id"))
        batch_op.drop_index(batch_op.f("ix_vm_imports_provider_id"))
        batch_op.drop_index("ix_vm_imports_due")
        batch_op.drop_index(batch_op.f("ix_vm_imports_data_center_id"))
        batch_op.drop_index(batch_op.f("ix_vm_imports_batch_id"))

    op.drop_table("vm_imports")
    op.drop_table("idempotency_records")
    op.drop_table("data_centers")
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_tokens_token_hash"))

    op.drop_table("api_tokens")
