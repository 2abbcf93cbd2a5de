"""What every daemon that answers with content of the store shares: delivery (screens) and share (other boxes).

``exchange`` (verified manifests, objects on a miss) · ``choose`` (pure: whole, part, not modified) · ``send`` (one sendfile an object).
"""
