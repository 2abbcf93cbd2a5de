"""What may cross, and what is served: a folder per flow (see docs/architecture.md)."""
