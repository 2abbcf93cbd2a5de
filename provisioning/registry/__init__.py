"""The authoritative table of identifiers: ``tables`` (SQL) -> ``registry`` (register, withdraw, publish signed) -> ``routes`` (HTTP)."""
