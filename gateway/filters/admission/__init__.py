"""The first filter: is this signed by an admitted body, may it go there, and are these its bytes?

``daemon`` (socket, policy) -> ``api`` (typed requests) -> ``decide`` (pure: what is admitted) and ``digests`` (bytes against the manifest).
"""
