"""Where things are on a box; tests and the lab move the roots by environment variables."""

from __future__ import annotations

import os
from pathlib import Path

RUN = Path(os.environ.get("HEADGATE_RUN", "/run/headgate"))  # gone at a reboot
STATE = Path(os.environ.get("HEADGATE_STATE", "/var/lib/headgate"))  # must survive a power cut
ETC = Path(os.environ.get("HEADGATE_ETC", "/etc/headgate"))  # what Ansible wrote
