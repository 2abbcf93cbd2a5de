"""The box's copy of the registry: what the exchange brings is verified against the registry's log and laid into the table.

``decide`` (pure: what is here, the head -> what is wanted) -> ``following`` (changes), ``beginning`` (snapshots) -> ``replica``,
``answers`` (single codes that are not here) -> ``api``, ``daemon``.
"""
