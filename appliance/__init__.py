"""The box itself: the ground that every daemon stands on.

``runtime`` (errors, configuration, life cycle), ``identity`` (keys, signed envelopes), ``journal`` (what was decided,
tamper-evident) and ``telemetry`` (record -> spool -> MQTT). Nothing here knows what a gateway is.
"""
