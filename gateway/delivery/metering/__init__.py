"""What was delivered, exactly: every byte of content that left, once, whatever is killed meanwhile.

``meter`` (``begin``, ``add``: what screens are given) -> ``usage`` (records for the exchange). ``delivery`` holds the nouns.
"""
