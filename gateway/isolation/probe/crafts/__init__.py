"""The attacks' packets, made by scapy (GPL): only ``process.py`` brings these modules in, in a process of its own.

``aim.py`` (who is aimed at) -> ``link.py``, ``four.py``, ``six.py``, ``tunnels.py``, ``transport.py``, ``talk.py`` (one function an attack)
-> ``table.py`` (name -> function).
"""
