"""Flow 2, on the lab's boxes: screens are served from the box, and only what an admitted body signed."""

import pytest

from provisioning.lab.operator import FILM, PORTAL
from provisioning.lab.tour import flow_film, guided
from provisioning.lab.tour.stage import SCREENS, UNPUBLISHED, Stage, until

pytestmark = pytest.mark.flow
PATH = f"/r/{FILM.removeprefix('isli:')}/master.m3u8"


def test_every_claim_of_the_guide_holds(stage: Stage):
    """Television and phone play, once from the origin and then from the store; tampered and unadmitted content is refused."""
    for step in guided("film", flow_film.walk(stage)):
        assert step.ok, step.told()


@pytest.mark.parametrize("unit", ["headgate-exchange", "headgate-fetch", "headgate-delivery@bigscreen"])
def test_a_killed_daemon_comes_back(stage: Stage, unit: str):
    """kill -9 of any daemon between screen and origin: a moment later the television is served again."""
    pid = int(stage.lab.exec("headend", ["systemctl", "show", "-P", "MainPID", unit]))
    stage.lab.exec("headend", ["kill", "-9", str(pid)])

    until(
        "the daemon is back",
        lambda: int(stage.lab.exec("headend", ["systemctl", "show", "-P", "MainPID", unit])) not in (0, pid),
    )
    until("the television is served", lambda: stage.curl("settop", PATH)[0] == 200)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (UNPUBLISHED, 404),
        ("/r/not-a-code/master.m3u8", 400),
        (PATH.replace("master.m3u8", "no-such-file.m4s"), 404),
        (PATH.replace("master.m3u8", "..%2f..%2fetc%2fpasswd"), 400),
        ("/etc/passwd", 404),
    ],
)
def test_a_wrong_request_is_told(stage: Stage, path: str, status: int):
    """A wrong address is answered with its status and a reason, never with a file."""
    got, _, body = stage.curl("settop", path, "--path-as-is")

    assert got == status, body
    assert "root:" not in body


def test_the_exchange_has_no_network(stage: Stage):
    """The exchange sees no interface but its own loopback."""
    pid = stage.lab.exec("headend", ["systemctl", "show", "-P", "MainPID", "headgate-exchange"]).strip()
    links = stage.lab.exec("headend", ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-o", "link"])

    assert [line.split(":")[1].strip() for line in links.splitlines()] == ["lo"]


ACCOUNTS = """
import glob, struct
files = [open(name, "rb").read(72) for name in glob.glob("/run/headgate/front/smallscreen/answers.*")]
print(*(sum(int(struct.unpack_from("=d", file, at)[0]) for file in files) for at in (0, 64)))
"""


def test_what_a_phone_gets_from_nginx_s_memory_is_taken_down_and_counted(stage: Stage):
    """nginx, under a user and in a sandbox of its own, writes each answer where delivery reads it."""
    page = f"http://{SCREENS['phone'][1]}/r/{PORTAL.removeprefix('isli:')}/index.html"
    before = accounts(stage)
    until("nginx remembers", lambda: ask(stage, page, 20) and accounts(stage)[0] >= before[0] + 10)
    until("it is counted", lambda: accounts(stage)[1] >= before[1] + 10)


def ask(stage: Stage, page: str, times: int) -> bool:
    """Ask for a page so often on one connection; return whether it came each time."""
    urls = [word for _ in range(times) for word in ("-o", "/dev/null", page)]
    return stage.lab.exec("phone", ["curl", "-sS", "-w", "%{http_code}", *urls]) == "200" * times


def accounts(stage: Stage) -> tuple[int, int]:
    """Return how many answers nginx's workers wrote down at the edge, and how many of them delivery counted."""
    written, counted = stage.lab.exec("edge", ["python3", "-c", ACCOUNTS]).split()
    return int(written), int(counted)
