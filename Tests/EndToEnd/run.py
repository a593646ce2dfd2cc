#!/usr/bin/env python3
"""Runs the end-to-end tests on fresh clusters: a real API server, real kubectl, real processes and sockets.

    run.py [WORD...]     all tests, or those whose name contains one of the words; `stops` takes minutes, and runs by its word only

What is named `families` runs on clusters of its own: one with IPv6 alone, one with both families.

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

MODULES = ["input", "verdict", "balance", "routing", "steering", "sidecar", "exposure", "gitops", "plain", "shortage", "client_address", "memory", "transfer", "failover", "identity", "control"]


# Left out where no word asks for them.
LONG = ["stops"]

# The modules and sites of each kind of cluster.
SUITES = {"ipv4": (MODULES, "abcd"), "ipv6": (["families"], "ab"), "dual": (["families"], "ab")}


def tests(words, families):
    long = [module for module in LONG if module in words and families == "ipv4"]
    for module in SUITES[families][0] + long:
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
    return "\n".join(lines[-30:])


def main(words):
    passed, failures = [], []
    for families in SUITES:
        selected = list(tests(words, families))
        if not selected:
            continue
        try:
            with Cluster(families=families) as cluster:
                run(cluster, selected, passed, failures)
        except Exception as error:
            failures.append(f"the cluster ({families}): {error} {getattr(error, 'stderr', None) or ''}")
            traceback.print_exc(file=sys.stdout)
    for title in failures:
        print(f"FAILED {title}")
    print(f"{len(passed)} passed, {len(failures)} failed")
    return 1 if failures or not passed else 0


def run(cluster, selected, passed, failures):
    """Runs the tests and adds their titles to `passed` or `failures`."""
    network = Network(cluster)
    network.install()
    network.make_sites(*SUITES[cluster.families][1])
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
