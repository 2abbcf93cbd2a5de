"""Which releases are published, and by whom: a TUF repository (The Update Framework 1.0), whose root the operator holds.

``layout`` (names of roles and files) -> ``metadata`` (made, signed, read) -> ``drafts`` (what the operator decides: root, bodies),
``listing`` (what a body publishes), ``judging`` (may it be taken in?) -> ``repository`` (the folder that an origin serves as
``/trust/``), ``verifying`` (the box's side); ``cli`` is ``headgate release trust``.
"""
