"""The second filter: are these bytes what they say they are, and nothing more?

``daemon`` (socket) -> ``api`` (typed requests) -> ``pool`` (a worker process for each object, forked ahead by a ``zygote``, asked by its
``handle``) -> ``worker`` (bounded in time and memory) -> ``scan`` (what holds for every type) -> ``kinds`` (a file for each family of
types). It reads no configuration: there is nothing to switch off. It shares no code with admission but ``appliance.runtime``.
"""

RULES = 2  # what passed under a lower number is looked at again: raise it with every rule that becomes stricter
