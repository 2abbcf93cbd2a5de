"""The way of a plain HTTP request across the gap to an admitted origin, and of its answer back.

``fields`` (pure: what may cross) · ``judge`` (pure: by which lane) · ``wire`` (how our daemons tell each other of it) ·
``origin`` (the request to the origin itself) · ``purging`` (what is to be forgotten, and who did).
"""
