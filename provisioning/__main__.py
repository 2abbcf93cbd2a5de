"""``python -m provisioning`` is ``headgate``."""

from provisioning.main import main

main()
