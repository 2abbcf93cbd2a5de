"""The steps of the controller's database."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from provisioning.controller import migrations


def test_the_steps_are_one_row() -> None:
    """Two steps with one number, or after the same one, would leave a controller that does not start."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(migrations.__file__).parent))
    steps = ScriptDirectory.from_config(settings)
    found = list(steps.walk_revisions())
    files = [path.stem.split("_")[1] for path in (Path(migrations.__file__).parent / "versions").glob("step_*.py")]
    assert len(steps.get_heads()) == 1
    assert sorted(files) == sorted(step.revision for step in found)
