"""Verbs that list what there is."""

from host import commands, tables
from host.verbs.app import verb

__all__ = ["datasets", "boards", "doctor"]


@verb(tables.datasets)
def datasets():
    """List the data sets known by name, and where they are."""
    return commands.datasets()


@verb(tables.boards)
def boards():
    """List the boards and what their parts offer."""
    return commands.boards()


@verb(tables.doctor, failed=lambda payload: bool(payload["missing"]))
def doctor():
    """Check the tools and libraries on this machine."""
    from host.doctor import diagnose

    return diagnose()
