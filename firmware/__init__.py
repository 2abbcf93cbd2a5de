"""The image that boxes are made of."""
