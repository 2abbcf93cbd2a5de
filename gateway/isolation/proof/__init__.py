"""Proof that the live kernel does with every packet what the policy says.

The flow: what the kernel lists (``listed.py``, ``matches.py``) and what the policy means (``intended.py``, not through the compiler) both
become rules over the fields of a packet (``space.py``, ``values.py``, ``rules.py``); ``prove.py`` holds them against each other by set
algebra over all packets (``algebra.py``, ``atoms.py``) and tells each difference as the smallest packet that is treated otherwise.
``compare.py`` does the same with two policies, ``ask.py`` answers one question from the live rules. Start at ``prove.py``.
"""
