"""LOCAL_OPTS: where the services of one machine find what they share (shuffler/common/options/LocalOptions.java)."""

from __future__ import annotations

DATABASE_PORT = 5432


def local_options(*, user: str, password: str, blob_folder: str, public_url: str) -> str:
    """The variable's value for a service that reaches PostgreSQL on the loopback address of its network.

    Args:
        user: of the databases tasks and metrics.
        password: of that user, without single quotes.
        blob_folder: where the blobs are in the service's file system.
        public_url: where devices reach task assignment.
    """
    options = {
        "database_url": f"jdbc:postgresql://127.0.0.1:{DATABASE_PORT}/tasks",
        "metrics_database_url": f"jdbc:postgresql://127.0.0.1:{DATABASE_PORT}/metrics",
        "database_user": user,
        "database_password": password,
        "blob_folder": blob_folder,
        "public_url": public_url,
    }
    return " ".join(f"--{name} '{value}'" for name, value in options.items())


# Of a service that runs alone: it starts, and says that there is no database.
ALONE = local_options(user="nobody", password="", blob_folder="/tmp/blobs", public_url="http://127.0.0.1:8083")
