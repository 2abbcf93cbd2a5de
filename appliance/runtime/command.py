"""The one way to run a program."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from appliance.runtime.errors import HeadgateError


class CommandFailed(HeadgateError):
    """A program ended with a failure or did not end in time; the message holds its output."""

    def __init__(self, argv: Sequence[str], status: int | None, output: str) -> None:
        self.argv = tuple(argv)
        self.status = status  # None: it did not end in time
        self.output = output
        ending = "did not end in time" if status is None else f"ended with status {status}"
        super().__init__(f"'{' '.join(argv)}' {ending}: {output.strip() or '(no output)'}")


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    seconds: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> str:
    """Run ``argv``, give it ``stdin``, and return what it printed.

    Raises:
        CommandFailed: the status is not 0, the program is missing, or it took longer than ``seconds``.
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            text=True,
            encoding="utf-8",
            errors="replace",  # a program may print anything
            capture_output=True,
            timeout=seconds,
            env=env,
            cwd=cwd,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        partial = error.stderr or b""
        raise CommandFailed(
            argv, None, partial.decode(errors="replace") if isinstance(partial, bytes) else partial
        ) from error
    except FileNotFoundError as error:
        raise CommandFailed(argv, 127, f"program '{argv[0]}' is not installed") from error
    if done.returncode:
        raise CommandFailed(argv, done.returncode, done.stderr + done.stdout)
    return done.stdout
