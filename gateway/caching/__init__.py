"""An ordinary shared cache of plain HTTP: what may be kept, for how long, for whom it is, and where one zone keeps it."""
