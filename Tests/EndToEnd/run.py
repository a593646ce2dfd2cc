#!/usr/bin/env python3
"""Runs the end-to-end tests on one fresh cluster: a real API server, real kubectl, real processes and sockets.

    run.py [WORD...]     all tests, or those whose name contains one of the words

TIELINE_KEEP=1 leaves the cluster running; TIELINE_BIN names the folder of the binaries (default: the release build).
"""
import importlib
import os
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cluster import Cluster, Failed  # noqa: E402
from network import Network  # noqa: E402

MODULES = ["input", "verdict", "balance", "routing", "steering", "sidecar", "exposure", "gitops", "plain", "shortage", "transfer", "failover", "identity", "control"]


def tests(words):
    for module in MODULES:
        found = importlib.import_module(f"test_{module}")
        for name, function in vars(found).items():
            title = f"{module}: {name.removeprefix('test_').replace('_', ' ')}"
            if name.startswith("test_") and (not words or any(word in title for word in words)):
                yield title, function


def logs(cluster):
    """What the controller and the gateways complained of lately: for the reader of a failure."""
    found = subprocess.run([str(os.path.join(os.path.dirname(__file__), "..", "..", "hack", "cluster.sh")),
                            "logs", "--tail", "30"], env=cluster.env, text=True, capture_output=True)
    lines = [line for line in found.stdout.splitlines() if " info " not in line and not line.startswith("==>")]
    return "\n".join(lines[-30:])


def main(words):
    passed, failures = [], []
    selected = list(tests(words))
    try:
        with Cluster() as cluster:
            run(cluster, selected, passed, failures)
    except Exception as error:
        failures.append(f"the cluster: {error} {getattr(error, 'stderr', None) or ''}")
        traceback.print_exc(file=sys.stdout)
    for title in failures:
        print(f"FAILED {title}")
    print(f"{len(passed)} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


def run(cluster, selected, passed, failures):
    """Runs the tests and adds their titles to `passed` or `failures`."""
    network = Network(cluster)
    network.install()
    network.make_sites("a", "b", "c", "d")
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
            print(logs(cluster), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
