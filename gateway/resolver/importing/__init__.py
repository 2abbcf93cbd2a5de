"""A file of records -> registrations that its body signs: ``reading`` -> ``rows`` (pure) -> ``sending``; ``progress`` lets it go on."""
