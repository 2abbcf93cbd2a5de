"""Proof that the live kernel does with every packet what the policy says.

Read: ``dump.py`` takes the kernel's own expressions and elements, ``dumped.py``, ``registers.py`` and ``loads.py`` run them over the fields
of a packet (``space.py``, ``values.py``, ``rules.py``); ``listed.py`` and ``matches.py`` do the same with a listing by nft.
Mean: ``intended.py`` says which packets each hook must accept, from the policy alone, not through the compiler.
Prove: ``prove.py`` by set algebra over all packets (``algebra.py``, ``atoms.py``), each difference the smallest packet; ``skeleton.py`` by
z3, with the sentences of ``claims.py``; ``diagram.py`` by CUDD, with a reader of its own (``witness.py``, ``headers.py``); the last two in
processes of their own without privileges (``aside.py``, ``written.py``). Ask: ``ask.py`` one opening, ``live.py`` of the running kernel,
``compare.py`` two policies. Start at ``prove.py``.
"""
