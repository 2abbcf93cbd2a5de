"""The operator's side: the controller, the fleet (enrol, inventory, rollout), the registry of identifiers, and the lab.

``main`` is the one program, ``headgate``. Imports run provisioning -> monitoring -> gateway | firmware -> appliance.
"""
