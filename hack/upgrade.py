#!/usr/bin/env python3
"""Shows that proxies of two versions work side by side, in both orders of a rolling upgrade and back again.

    hack/upgrade.py COMMIT     builds the proxy of that commit (release, some minutes) and compares it with TIELINE_BIN
    hack/upgrade.py FOLDER     takes the programs that are there for the other version

Two plain sites are linked; clients of one are served by the other. One after the other their proxies are replaced by those of the other
version, with the same state; clients have to be served again soon, and then without an exception.
"""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "EndToEnd"))

from cluster import BIN, check, wait  # noqa: E402
from plain_sites import PlainSites  # noqa: E402

PREFIX = "127.82.0"
SERVER = (f"{PREFIX}.9", 7600)


def built(commit, folder):
    """The programs of a commit, built in a tree of its own."""
    tree = pathlib.Path(folder, "tree")
    subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", str(tree), commit], check=True, capture_output=True)
    try:
        subprocess.run(["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", "tieline-proxy"], cwd=tree, check=True)
        target = pathlib.Path(folder, "bin")
        target.mkdir()
        (tree / ".build" / "release" / "tieline-proxy").rename(target / "tieline-proxy")
        return target
    finally:
        subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)], check=True)


@contextlib.contextmanager
def echo():
    """A server that gives back what it gets."""
    def serve(client):
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(SERVER) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield


def asked(place):
    """Whether a client of the service is answered."""
    with contextlib.suppress(OSError), socket.create_connection(place, 3) as client:
        client.settimeout(3)
        client.sendall(b"question")
        return client.recv(8) == b"question"
    return False


def replace(sites, name, programs):
    """The site's proxy is one of the other version from now on; for how long its clients were not served."""
    place = (sites.address("near"), SERVER[1])
    process = sites.processes[name]
    process.terminate()
    process.wait(60)
    began = time.monotonic()
    sites.start(name, programs=programs)
    wait(f"clients are served with {name} replaced", lambda: asked(place), 30)
    pause = time.monotonic() - began
    for _ in range(50):
        check(asked(place), f"a client was not served after {name} was replaced")
        time.sleep(0.02)
    return pause


def run(first, second):
    """Two sites of the version `first` become two of `second`, in both orders."""
    for order in [("near", "far"), ("far", "near")]:
        with PlainSites(PREFIX, "near", "far", programs=first) as sites:
            sites.service("far", "echo", SERVER[1], f"  hosts: [{SERVER[0]}]\n")
            sites.service("near", "echo", SERVER[1], "")
            wait("clients are served", lambda: asked((sites.address("near"), SERVER[1])), 30)
            for name in order:
                pause = replace(sites, name, second)
                print(f"   {name} replaced: served again after {pause:.1f} s", flush=True)
                for site in ("near", "far"):
                    status = sites.status(site, "site", site)
                    check(any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"]), f"{site}: {status}")


def main(other):
    with tempfile.TemporaryDirectory(prefix="tieline-upgrade-") as folder, contextlib.ExitStack() as stack:
        old = pathlib.Path(other) if os.path.isdir(other) else built(other, folder)
        stack.enter_context(echo())
        for what, first, second in [("upgrade", old, BIN), ("back again", BIN, old)]:
            print(f"-- {what}", flush=True)
            run(first, second)
    print("hack/upgrade.py: passed")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
