"""The controller: what the boxes report goes into the database and onto one page.

``mqtt`` message -> ``ingest.py`` (what to store, what to acknowledge; pure) -> ``store.py`` (SQLite or PostgreSQL, one transaction) -> the
acknowledgement, sent only after the commit. ``hub.py`` carries this out and holds the fleet's state (``monitoring/fleet.py``); ``web.py``
serves page, ``/metrics`` and API; ``wanted.py`` reads what is asked of each box; ``broker.py`` says what Mosquitto must enforce.
"""
