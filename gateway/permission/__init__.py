"""Who may have what delivered: a Common Access Token (CTA-5007) or a signed URI (RFC 9246) says so.

``token`` and ``signed_uri`` (bytes -> ``Permit``, verified) -> ``judge`` (permit, request, now -> refused or not; pure) and ``withdrawn``
(what orders withdrew) -> ``door`` (finds the token of a request, remembers what was verified).
``cli`` issues tokens: ``headgate release token``.
"""
