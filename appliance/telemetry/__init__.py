"""What a box reports: records that must never be lost, and state of which only the latest value matters.

Record: ``records.py`` (what one is) -> ``spool.py`` (durable on disk; the exchange and the guard append here) -> ``outbox.py`` (which to
send, again after how long, pure) -> ``mqtt.py`` -> the controller, whose acknowledgement alone lets the spool forget.
State: ``status.py`` and ``exposition.py`` (what the guard and the daemons told) -> ``session.py`` (Sparkplug B births and changes, pure) ->
``sparkplug.py`` (bytes) -> ``mqtt.py``. ``daemon.py`` wires both, and serves ``/metrics`` in the management zone.
"""
