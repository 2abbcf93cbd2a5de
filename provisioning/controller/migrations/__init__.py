"""The steps of the database's schema, in order; run when the controller starts."""
