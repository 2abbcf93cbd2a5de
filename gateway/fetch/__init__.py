"""Asks parents and origins, in the culture zone.

``daemon`` (socket) -> ``decide`` (pure: may this be asked?) -> ``tiers`` (pure: whom, in which order, by ``health``) -> ``client`` (HTTP,
as a stream; ``s3`` signs, ``secrets`` are what Ansible gave). ``loops``: no question goes round.
"""
