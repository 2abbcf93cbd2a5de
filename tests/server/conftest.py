"""What the tests of several daemons share."""

from tests.server.resolving import box, client

__all__ = ["box", "client"]
