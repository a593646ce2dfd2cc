#!/usr/bin/env python3
"""Runs the end-to-end tests on fresh clusters: a real API server, real kubectl, real processes and sockets.

    run.py [WORD...]     all tests, or those whose name contains one of the words; `stops` and `kills` run by their words only

They go side by side in lanes, each with clusters of its own: they wait more than they work. What is named `families` runs on two of
them, one with IPv6 alone, one with both families. What takes much from all others comes last, alone.

TIELINE_KEEP=1 runs them one after the other and leaves the cluster running; TIELINE_BIN names the folder of the binaries
(default: the release build).
"""
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cluster import Cluster, Failed  # noqa: E402
from network import Network  # noqa: E402

# Of each lane, its clusters one after the other: the families of their addresses, their sites, and the modules with the tests.
LANES = [
    [("ipv4", "abcd", ["control", "balance", "policies", "shares", "failover", "pages", "stops"])],
    [
        ("ipv4", "abcd", [
            "input", "verdict", "routing", "steering", "sidecar", "injection", "exposure", "gitops", "plain", "shortage", "client_address", "transfer",
            "identity", "rights", "tokens", "joining", "kills"]),
        ("ipv6", "ab", ["families"]),
        ("dual", "ab", ["families"]),
    ],
]
# What takes from all others what the kernel has for TCP: when the lanes have ended, and without a cluster.
ALONE = ["memory"]
# Left out where no word asks for them.
LONG = ["stops", "kills"]


def tests(words, families, modules):
    for module in modules:
        if module in LONG and module not in words:
            continue
        found = importlib.import_module(f"test_{module}")
        place = f" {families}" if module == "families" else ""
        for name, function in vars(found).items():
            title = f"{module}{place}: {name.removeprefix('test_').replace('_', ' ')}"
            if name.startswith("test_") and (not words or any(word in title for word in words)):
                yield title, function


def logs(cluster):
    """What the controller and the gateways complained of lately: for the reader of a failure."""
    found = subprocess.run([str(os.path.join(os.path.dirname(__file__), "..", "..", "hack", "cluster.sh")),
                            "logs", "--tail", "30"], env=cluster.env, text=True, capture_output=True)
    lines = [line for line in found.stdout.splitlines() if " info " not in line and not line.startswith("==>")]
    return "\n".join(lines[-30:] + last_words(cluster))


def last_words(cluster):
    """Of the API server, where it has ended: without it no later test of the lane can pass, and its log goes with the cluster."""
    folder = pathlib.Path(os.environ.get("TMPDIR", "/tmp"), f"tieline-cluster-{cluster.name}", "apiserver")
    try:
        lines = (folder / "apiserver.log").read_text(errors="replace").splitlines()
        crash = next((place for place, line in enumerate(lines) if line.startswith(("panic: ", "fatal error: "))), None)
        if crash is None and runs((folder / "pid").read_text().strip()):
            return []
    except OSError as error:
        return [f"the API server: {error}"]
    return ["the API server has ended:", *(lines[-30:] if crash is None else lines[crash:][:30])]


def runs(pid):
    """Whether that process lives, and is not one that waits for its parent, or for the ends of its threads on a busy machine."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def main(words):
    lanes = [number for number, lane in enumerate(LANES) if any(list(tests(words, families, modules)) for families, _, modules in lane)]
    if len(lanes) > 1 and not os.environ.get("TIELINE_KEEP"):
        passed, failures = side_by_side(lanes, words)
    else:
        passed, failures = [], []
        for number in lanes:
            run_lane(number, words, passed, failures)
    run_tests(None, tests(words, "", ALONE), passed, failures)
    for title in failures:
        print(f"FAILED {title}")
    print(f"{len(passed)} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


def side_by_side(lanes, words):
    """Each lane in a process of its own, which says last what passed and what failed; the output of a test stays together."""
    results = {number: ([], [f"lane {number}: it ended early"]) for number in lanes}

    def relay(number, lines):
        block = []
        for line in lines:
            if line.startswith("-- ") and block:
                print("".join(block), end="", flush=True)
                block = []
            if line.startswith(RESULT):
                results[number] = json.loads(line.removeprefix(RESULT))
            else:
                block.append(line)
        print("".join(block), end="", flush=True)

    children = [subprocess.Popen([sys.executable, __file__, LANE, str(number), *words], stdout=subprocess.PIPE, text=True) for number in lanes]
    readers = [threading.Thread(target=relay, args=(number, child.stdout)) for number, child in zip(lanes, children)]
    try:
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    finally:
        for child in children:
            if child.poll() is None:
                child.terminate()  # it takes its cluster along
            child.wait()
    return [sum((result[side] for result in results.values()), []) for side in (0, 1)]


LANE, RESULT = "--lane", "result: "


def one_lane(number, words):
    passed, failures = [], []
    run_lane(number, words, passed, failures)
    print(f"{RESULT}{json.dumps([passed, failures])}", flush=True)


def run_lane(number, words, passed, failures):
    for families, sites, modules in LANES[number]:
        selected = list(tests(words, families, modules))
        if not selected:
            continue
        try:
            with Cluster(families=families) as cluster:
                run(cluster, sites, selected, passed, failures)
        except Exception as error:
            failures.append(f"the cluster ({families}): {error} {getattr(error, 'stderr', None) or ''}")
            traceback.print_exc(file=sys.stdout)


def run(cluster, sites, selected, passed, failures):
    """Runs the tests and adds their titles to `passed` or `failures`."""
    network = Network(cluster)
    network.install()
    network.make_sites(*sites)
    run_tests(network, selected, passed, failures)


def run_tests(network, selected, passed, failures):
    """Without a network where a test needs none."""
    for title, function in selected:
        began = time.monotonic()
        print(f"-- {title}", flush=True)
        try:
            function(network)
            passed.append(title)
            print(f"ok {title} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:  # whatever it is, the other tests are run
            failures.append(title)
            detail = getattr(error, "stderr", None) or ""
            print(f"FAILED {title}: {error} {detail}", flush=True)
            if not isinstance(error, Failed):
                traceback.print_exc(file=sys.stdout)
            if network:
                print(logs(network.cluster), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == [LANE]:
        one_lane(int(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
