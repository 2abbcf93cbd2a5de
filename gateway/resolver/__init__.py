"""Identifier -> answer (flow 3).

``codes`` (ISLI, DOI, Handle, ISBN) -> ``records`` -> ``table`` (LMDB) -> ``answer`` (pure) -> ``daemon``.
"""
