"""The two filters: what both pass crosses, and nothing else.

``admission`` verifies signature, right and digest; ``inspection`` looks at the bytes. Each is a process of its own without network, of
different make: they share no code but ``appliance.runtime``. ``client`` is the exchange's side of both.
"""
