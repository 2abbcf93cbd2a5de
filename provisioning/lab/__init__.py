"""A whole operator on one machine: real Debian boxes in containers, cabled through namespaces that the lab makes.

``plan.py`` (which machines, networks, ports: values) -> ``state.py`` (what was made, written before it is made) -> ``netns.py``
(switches and cables) -> ``boxes.py`` (disks and power) -> ``lab.py`` (``Lab``: up, exec, ssh, unplug, power cut, down) -> ``cli.py``.
Boxes become gateways only through ``operator.py``, by Ansible over SSH; ``tour.py`` walks the five flows.
"""
