"""Operator -> box: what the operator's folder asks becomes what every box enforces.

``inventory`` (the folder, checked, all faults at once) -> ``plan`` (what differs, in words; rings in order) -> ``rollout`` (what to do
next, pure) carried out by ``run``: ``bundle`` (the software as one archive), ``pki`` (certificates), ``ansible`` (the one way to a
box) and ``controller`` (what the boxes report). Start reading at ``run.py``; ``cli`` is ``headgate fleet``.
"""
