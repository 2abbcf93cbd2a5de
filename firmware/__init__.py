"""The factory image that every box is made of, and the layers that turn it into the lab's other machines.

``sources.py`` (the machine's own apt sources) -> ``recipe.py`` (what is in an image, and its digest) -> ``image.py`` (builds it once
into the cache). ``headgate firmware build``.
"""
