"""Verified objects on the box's disk, named by their SHA-256: written by the exchange alone, read by delivery.

``objects`` (content) and ``manifests`` (signed envelopes, so that a restart with the origin away still serves).
"""
