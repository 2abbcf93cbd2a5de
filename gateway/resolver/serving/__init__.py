"""The resolver's HTTP.

``resolver`` holds a zone's settings; ``identifier``, ``links``, ``handle`` and ``batch`` answer; ``openapi`` says how.
"""
