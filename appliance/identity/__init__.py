"""Keys and what is signed with them: ``keys`` (Ed25519, written as ``ed25519:<base64>``) -> ``envelope`` (DSSE)."""
