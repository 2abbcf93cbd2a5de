"""``python -m provisioning`` is ``headgate``."""

from provisioning.main import main

if __name__ == "__main__":
    main()
