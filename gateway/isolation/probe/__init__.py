"""Real packets against the gateway: every attack that docs/isolation.md knows is sent from each zone, and all others are listened to.

``catalogue.py`` (what is tried, and through which hole it would be seen) -> ``scene.py`` (who has which address) -> ``crafts`` (scapy, in a
process of its own) -> ``shots.py`` (frames with a nonce) -> ``bench.py`` (sends and listens) on three arrangements: ``twin.py`` (the same
policy in namespaces of its own), ``holes.py`` (the hole open: the positive control) and ``live.py`` (the box itself) -> ``judge.py``
(passed, failed or blind). Start with ``prober.run``; ``shoot.py`` is the attacker's side on another machine.
"""
