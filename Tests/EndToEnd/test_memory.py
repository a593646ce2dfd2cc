"""`Site.proxy.memoryBudget`: thousands of connections whose clients do not read, in a cgroup of 64 MiB."""
import contextlib
import os
import pathlib
import resource
import select
import socket
import subprocess
import sys
import time
import urllib.request

from cluster import check, wait
from plain_sites import PlainSites

PREFIX = "127.81.0"
SERVER = f"{PREFIX}.9"
LIMIT = 64 << 20
CLIENTS = 5_000

# Sends without end to whoever connects.
PUMP = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
async def pump(_, writer):
    block = bytes(65536)
    try:
        while True:
            writer.write(block)
            await writer.drain()
    except OSError:
        writer.transport.abort()
async def main():
    async with await asyncio.start_server(pump, sys.argv[1], int(sys.argv[2]), backlog=5000) as server:
        await server.serve_forever()
asyncio.run(main())
"""


@contextlib.contextmanager
def cgroup(limit):
    """A memory cgroup with that limit, of either version: its folder, and the words that run a command in it."""
    second = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    root = pathlib.Path("/sys/fs/cgroup" if second.exists() else "/sys/fs/cgroup/memory")
    if second.exists():
        (root / "cgroup.subtree_control").write_text("+memory")
    folder = root / f"tieline-memory-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / ("memory.max" if second.exists() else "memory.limit_in_bytes")).write_text(str(limit))
        yield folder, ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && ulimit -n $(ulimit -Hn) && exec "$@"', "sh"]
    finally:
        wait("the cgroup can be removed", lambda: not (folder / "cgroup.procs").read_text() and not folder.rmdir(), 20)


def kills(folder):
    for name in ["memory.events", "memory.oom_control"]:
        if (folder / name).exists():
            return sum(int(line.split()[1]) for line in (folder / name).read_text().splitlines() if line.startswith("oom_kill "))
    return 0


def metrics(address):
    with urllib.request.urlopen(f"http://{address}:5673/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def connect(place):
    """A client that reads nothing, and whose kernel takes little; None when it is refused."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    try:
        client.connect(place)
        return client
    except OSError:
        client.close()
        return None


def wait_for_bytes(clients):
    """Until each was sent something or was reset, two seconds at the most: a service's share of silent connections is smaller."""
    poll, until = select.poll(), time.monotonic() + 2
    for client in clients:
        poll.register(client, select.POLLIN)
    left = {client.fileno() for client in clients}
    while left and (rest := until - time.monotonic()) > 0:
        for number, _ in poll.poll(rest * 1000):
            poll.unregister(number)
            left.discard(number)


def lives(client):
    """Whether the connection was not reset: what waits is left where it is."""
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and tcp_state(client) == 1


def tcp_state(client):
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def test_64_mib_and_clients_that_do_not_read(_):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pump = subprocess.Popen([sys.executable, "-c", PUMP, SERVER, "7500"])
    try:
        with cgroup(LIMIT) as (folder, inside), PlainSites(PREFIX, "near", "far") as sites:
            # The proxy of the clients is the one that is short.
            sites.stop("near")
            sites.start("near", *inside)
            sites.service("far", "pump", 7500, f"  hosts: [{SERVER}]\n")
            sites.service("near", "pump", 7500, "")
            near, process = sites.address("near"), sites.processes["near"]
            place = (near, 7500)

            def served():
                with contextlib.closing(connect(place) or socket.socket()) as client:
                    client.settimeout(2)
                    with contextlib.suppress(OSError):
                        return len(client.recv(1))

            wait("clients are served", served, 40)
            check(metrics(near)["tieline_memory_budget_bytes"] == LIMIT, "the budget is the cgroup's limit")
            before = metrics(near)["tieline_memory_used_bytes"]
            clients, most, began = [], 0, time.monotonic()
            while len(clients) < CLIENTS:
                clients += (batch := [connect(place) for _ in range(100)])
                wait_for_bytes([client for client in batch if client])
                most = max(most, metrics(near)["tieline_memory_used_bytes"])
            until = time.monotonic() + 10
            while time.monotonic() < until:
                most = max(most, metrics(near)["tieline_memory_used_bytes"])
                time.sleep(0.2)
            check(process.poll() is None and kills(folder) == 0, f"never killed: {process.poll()}, {kills(folder)} kills")
            alive = [client is not None and lives(client) for client in clients]
            oldest, youngest = sum(alive[:500]), sum(alive[-500:])
            told = metrics(near)
            refused = sum(value for name, value in told.items() if name.startswith("tieline_connections_refused_total"))
            reset = sum(value for name, value in told.items() if name.startswith("tieline_connections_interrupted_total"))
            print(f"   {before / 2**20:.1f} MiB before, {most / 2**20:.1f} at most; {sum(alive)} of {CLIENTS} connections live, "
                  f"{oldest} of the first 500 and {youngest} of the last 500; {refused:.0f} refused, {reset:.0f} reset "
                  f"({time.monotonic() - began:.0f} s)")
            check(most <= LIMIT, f"{most} bytes of {LIMIT}")
            check(oldest >= 450, f"the oldest stay: {oldest} of 500")
            check(refused + reset > 0 or sum(alive) == CLIENTS, "those that are gone were refused or reset")
            for client in filter(None, clients):
                client.close()
            wait("and serves again", served, 30)
    finally:
        pump.kill()
        pump.wait()
