"""What an operator could have instead of delivery: nginx, Varnish and Apache Traffic Server, each tuned for its best on one core.

Each comes up in front of an origin, in a folder of its own, and holds what it is asked for in memory or in the page cache.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.permission.door import NAME
from tests.server.content.conftest import until
from tests.server.ports import free_port

ADDRESS = "127.20.0.1"
SERVER, CLIENT = 0, 1  # cores: the server that is measured has one for itself, and whoever asks it the other


@dataclass
class Cache:
    """A server under measurement."""

    name: str
    address: str
    port: int
    pids: list[int]


def pin(pids: list[int], core: int) -> None:
    """Hold processes, with all their threads, on one core; where there is only one core nothing can be held apart."""
    if (os.cpu_count() or 1) < 2:
        return
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def family(pid: int) -> list[int]:
    """Return a process and all that come of it."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in listed for one in family(int(child)))]


@contextmanager
def _process(name: str, base: Path, place: tuple[str, int], argv: list[str], **environment: str) -> Iterator[Cache]:
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=os.environ | environment)
    try:
        # Who answers is there: nginx listens before it has a worker, whose processor time would be missed.
        def answers() -> bool:
            assert process.poll() is None, (base / "log").read_text()
            with suppress(OSError), socket.create_connection(place, 5) as connection:
                connection.sendall(b"HEAD / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                return bool(connection.recv(1))
            return False

        until(answers, f"{name} answers")
        pids = family(process.pid)
        pin(pids, SERVER)
        yield Cache(name, *place, pids)
    finally:
        process.terminate()
        process.wait(20)


NGINX = """
daemon off; worker_processes 1; pid {base}/nginx.pid; error_log stderr; user root; worker_rlimit_nofile 65536;
events {{ worker_connections 24000; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; sendfile_max_chunk 2m; keepalive_requests 100000000; open_file_cache max=1000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path {base}/t1; proxy_temp_path {base}/t2; fastcgi_temp_path {base}/t3; uwsgi_temp_path {base}/t4;
  scgi_temp_path {base}/t5;
  proxy_cache_path {base}/cache keys_zone=all:10m levels=1:2 use_temp_path=off max_size=1g inactive=1h;
  log_format account '$msec $request_time $bytes_sent $body_bytes_sent $request_completion $status $remote_addr $remote_port'
    ' $uri $http_{token}';
  server {{ listen unix:{base}/authority.sock; return 204; }}
  server {{ listen {address}:{port} backlog=16000; {location} }}
}}
"""
# As its documentation says; below /guarded/ with a permission that an authority gave, remembered for the token, and a line for each answer,
# as delivery's nginx has.
CACHED = """proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache all;
  proxy_cache_key $uri; proxy_cache_valid 200 1h; proxy_cache_lock on; proxy_cache_lock_timeout 60s; proxy_cache_lock_age 60s;
  proxy_cache_use_stale updating error timeout; proxy_ignore_headers Cache-Control Expires; proxy_buffers 16 64k;
  location / {{ proxy_pass http://{origin}; }}
  location {guarded} {{ auth_request /-/authority; access_log {base}/account.log account; proxy_pass http://{origin}/; }}
  location = /-/authority {{ internal; proxy_pass http://unix:{base}/authority.sock; proxy_pass_request_body off;
    proxy_cache_key permit$http_{token}; proxy_cache_valid 204 10s; }}"""
GUARDED = "/guarded/"
TOKEN = NAME.lower().replace("-", "_")  # as nginx names the field in its variables


@contextmanager
def _nginx(name: str, base: Path, location: str, address: str, port: int) -> Iterator[Cache]:
    base.mkdir()
    (base / "nginx.conf").write_text(
        NGINX.format(base=base, address=address, port=port, location=location, token=TOKEN)
    )
    with _process(name, base, (address, port), ["nginx", "-p", str(base), "-c", str(base / "nginx.conf")]) as cache:
        yield cache


@contextmanager
def nginx_files(base: Path, root: Path, address: str = ADDRESS, port: int | None = None) -> Iterator[Cache]:
    """Run nginx on a folder of files."""
    with _nginx("nginx static", base, f"root {root};", address, port or free_port(address)) as cache:
        yield cache


@contextmanager
def nginx(base: Path, origin: str) -> Iterator[Cache]:
    """Run nginx's proxy_cache."""
    with _nginx(
        "nginx proxy_cache",
        base,
        CACHED.format(base=base, origin=origin, guarded=GUARDED, token=TOKEN),
        ADDRESS,
        free_port(ADDRESS),
    ) as cache:
        yield cache


VCL = """vcl 4.1;
backend default {{ .host = "{host}"; .port = "{port}"; }}
sub vcl_recv {{ return (hash); }}
sub vcl_backend_response {{ set beresp.ttl = 1h; unset beresp.http.Set-Cookie; }}
"""


@contextmanager
def varnish(base: Path, origin: str) -> Iterator[Cache]:
    """Run Varnish with its store in memory."""
    base.mkdir()
    host, _, backend = origin.partition(":")
    port = free_port(ADDRESS)
    (base / "default.vcl").write_text(VCL.format(host=host, port=backend))
    argv = [
        "varnishd",
        "-j",
        "none",
        "-F",
        "-n",
        str(base / "work"),
        "-a",
        f"{ADDRESS}:{port}",
        "-f",
        str(base / "default.vcl"),
    ]
    argv += [
        "-s",
        "malloc,1g",
        "-p",
        "thread_pools=1",
        "-p",
        "thread_pool_min=100",
        "-p",
        "thread_pool_max=2000",
        "-T",
        "none",
    ]
    argv += ["-p", "listen_depth=16000", "-p", "timeout_idle=600"]
    with _process("Varnish", base, (ADDRESS, port), argv) as cache:
        yield cache


ATS = {
    "records.config": """\
CONFIG proxy.config.http.server_ports STRING {port}:ip-in={address}
CONFIG proxy.config.cache.ram_cache.size INT 1073741824
CONFIG proxy.config.cache.ram_cache_cutoff INT 8388608
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.local_state_dir STRING {base}/run
CONFIG proxy.config.log.logfile_dir STRING {base}/log.d
CONFIG proxy.config.body_factory.template_sets_dir STRING /etc/trafficserver/body_factory
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.exec_thread.affinity INT 0
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.crash_log_helper STRING
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.http.cache.heuristic_min_lifetime INT 3600
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.net.listen_backlog INT 16000
CONFIG proxy.config.net.connections_throttle INT 60000
CONFIG proxy.config.net.sock_send_buffer_size_in INT 0
CONFIG proxy.config.cache.enable_read_while_writer INT 1
CONFIG proxy.config.http.cache.open_write_fail_action INT 5
CONFIG proxy.config.http.background_fill_active_timeout INT 0
CONFIG proxy.config.http.background_fill_completed_threshold FLOAT 0.0
""",
    "remap.config": "map / http://{origin}/\n",
    "storage.config": "{base}/cache 512M\n",
    "ip_allow.yaml": "ip_allow:\n  - {{apply: in, ip_addrs: 0/0, action: allow, methods: ALL}}\n",
} | dict.fromkeys(("cache.config", "plugin.config", "hosting.config", "parent.config"), "")


@contextmanager
def ats(base: Path, origin: str) -> Iterator[Cache]:
    """Run Apache Traffic Server (Debian's 9.2), reading while it writes."""
    port = free_port(ADDRESS)
    for folder in ("etc", "run", "log.d", "cache"):
        (base / folder).mkdir(parents=True)
    for name, text in ATS.items():
        (base / "etc" / name).write_text(text.format(base=base, address=ADDRESS, port=port, origin=origin))
    places = {"PROXY_CONFIG_CONFIG_DIR": str(base / "etc"), "PROXY_CONFIG_LOCAL_STATE_DIR": str(base / "run")}
    with _process("ATS 9.2", base, (ADDRESS, port), ["traffic_server"], **places) as cache:
        yield cache


PEERS: dict[str, tuple[str, Callable[..., object]]] = {
    "nginx": ("nginx-light", nginx),
    "varnishd": ("varnish", varnish),
    "traffic_server": ("trafficserver", ats),
}


def peers() -> Iterator[Callable[..., object]]:
    """Yield what runs each peer that is installed, and say which is not."""
    for program, (package, run) in PEERS.items():
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            print(f"  {program} is not installed (Debian: {package}): nothing to compare with")
        else:
            yield run
