"""Identifier -> answer (flow 3).

``codes`` (a file a family of schemes) -> ``records`` -> ``table`` (LMDB) -> ``answer`` (pure) -> ``daemon``.
"""
