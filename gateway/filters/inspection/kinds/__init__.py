"""A file for each family of types; ``registry`` knows which looks at which."""
