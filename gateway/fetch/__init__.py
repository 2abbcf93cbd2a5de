"""Asks origins, in the culture zone: ``daemon`` (socket) -> ``decide`` (pure: may this be asked?) -> ``client`` (HTTP, as a stream)."""
