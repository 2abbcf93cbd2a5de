"""What each daemon and command needs before it can do anything.

``errors`` the handful of failures that callers tell apart · ``config`` YAML -> checked value, all faults at once ·
``service`` life cycle of a daemon (signals, readiness, reload) · ``listening`` its one TCP address ·
``http`` aiohttp on TCP and Unix sockets ·
``command`` the one way to run a program · ``files`` atomic, durable writes · ``metrics`` and ``logs``.
"""
