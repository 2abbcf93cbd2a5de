"""Fleet state from telemetry, and the pages that show it."""
