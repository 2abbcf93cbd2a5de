"""The kernel's nftables by its own messages, without a library between: what must be fast, exact, or owned.

Pure: ``messages.py`` netlink's framing, ``requests.py`` tables, chains, sets and counters, ``elements.py`` sets' elements as packed bytes.
Sockets: ``netlink.py`` any, ``link.py`` that of nftables, ``events.py`` who changed the ruleset.
Rules themselves are written through libnftables (``nft.py``).
"""
