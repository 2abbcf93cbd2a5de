"""What a resolver answers, pure: ``outcome`` decides, the others tell it.

``here`` (zone, screens, what may be seen), ``places`` (nearest playable copy), ``form`` (which form is wanted), ``caching`` (headers);
one file a format: ``as_json``, ``as_linkset``, ``as_handle``, ``as_batch``, ``as_page`` (with ``words`` and ``templates``).
"""
