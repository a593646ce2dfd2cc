#!/usr/bin/env python3
"""Tieline beside HAProxy, nginx and the least that TLS costs: all proxies of a set-up on one core, load and server on another.

    hack/bench.sh [--quick] [--more] [--rounds N] [--only WORD]

Called by hack/bench.sh, which builds what is measured. Every round runs every case through every set-up, one after the other, so
that what the machine does meanwhile hits all alike; figures are medians of the rounds.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from set_ups import GROUPS, LOAD_CORE, MORE, SERVER, TOOLS, certificates, loaded, pinned, running

HERE = pathlib.Path(__file__).parent


# MARK: Cases: each gives figures by name

def bulk(set_up, seconds, streams):
    result = loaded(set_up, "bulk", streams, seconds)
    gigabytes = result["bytes"] / 1e9
    return result, {f"bulk {streams}: CPU s/GB": result["cpu"] / gigabytes, f"bulk {streams}: GB/s": gigabytes / result["seconds"]}


def connect(set_up, seconds):
    result = loaded(set_up, "connect", 64, seconds)
    return result, {"connections/s": result["answered"] / result["seconds"],
                    "CPU us/connection": result["cpu"] / result["answered"] * 1e6}


def request(set_up, seconds):
    result = loaded(set_up, "request", 50, seconds)
    return result, {"request p50 us": result["p50"], "request p99 us": result["p99"],
                    "CPU us/request": result["cpu"] / result["answered"] * 1e6}


def beside(set_up, seconds):
    result = loaded(set_up, "beside", 10, 4, seconds)
    return result, {"beside bulk p50 us": result["p50"], "beside bulk p99 us": result["p99"]}


def idle(set_up, _):
    count = 4000
    before = set_up.private()
    client = pinned(LOAD_CORE, TOOLS / "load", "idle", set_up.address, count, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        result = json.loads(client.stdout.readline())
        return result, {"private bytes/idle connection": (set_up.private() - before) / count}
    finally:
        client.kill()
        client.wait()


CASES = [lambda s, t: bulk(s, t, 1), lambda s, t: bulk(s, t, 16), connect, request, beside]


def one_round(set_ups, cases, seconds, figures):
    for case in cases:
        for set_up in set_ups:
            result, found = case(set_up, seconds)
            if result["broken"]:
                sys.exit(f"bench: {result['broken']} connections broke: {set_up.group}, {set_up.name}: {result}")
            for name, value in found.items():
                figures.setdefault((set_up.group, name, set_up.name), []).append(value)


# MARK: What is printed

def table(medians):
    names = ["direct", "tieline", "haproxy", "nginx", "pump", "one loop"]
    for group in dict.fromkeys(key[0] for key in medians):
        print(f"\n{group:32}" + "".join(f"{name:>12}" for name in names))
        for figure in dict.fromkeys(key[1] for key in medians if key[0] == group):
            row = [medians.get((group, figure, name)) for name in names]
            print(f"{figure:32}" + "".join(f"{'-' if value is None else shown(value):>12}" for value in row))


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def judge(medians):
    """Compares with bench/targets.json: each a ratio of Tieline to another, or a bound."""
    met = missed = 0
    print()
    for target in json.loads((HERE / "targets.json").read_text()):
        own = medians.get((target["group"], target["figure"], "tieline"))
        other = medians.get((target["group"], target["figure"], target["against"])) if "against" in target else 1
        if own is None or not other:
            continue
        ratio = own / other
        good = ratio >= target["least"] if "least" in target else ratio <= target["most"]
        met, missed = met + good, missed + (not good)
        bound = f">= {target['least']}" if "least" in target else f"<= {target['most']}"
        print(f"{'met   ' if good else 'MISSED'}  {target['group']}, {target['figure']}"
              f"{', to ' + target['against'] if 'against' in target else ''}: {shown(ratio)} ({bound})")
    print(f"{met} targets met, {missed} missed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--more", action="store_true", help="three sites and, on four cores or more, two loops as well")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="", help="set-ups whose name contains this, beside tieline and direct")
    options = parser.parse_args()
    rounds, seconds = options.rounds or (3 if options.quick else 5), 1 if options.quick else 3
    figures, groups = {}, chosen(options.more)
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as path:
        folder = pathlib.Path(path)
        certificates(folder)
        server = pinned(LOAD_CORE, TOOLS / "load", "serve", SERVER)
        try:
            with running(folder / "rounds", folder / "tls", options.only, groups) as set_ups:
                for index in range(rounds):
                    one_round(set_ups, CASES, seconds, figures)
                    print(f"round {index + 1} of {rounds}", file=sys.stderr)
            with running(folder / "idle", folder / "tls", options.only, groups) as set_ups:
                one_round([set_up for set_up in set_ups if set_up.processes], [idle], seconds, figures)
        finally:
            server.kill()
            server.wait()
    medians = {key: statistics.median(values) for key, values in figures.items()}
    table(medians)
    judge(medians)
    keep(figures, medians, options)


def chosen(more):
    """Two loops take two cores for the proxies beside those of load and server: with fewer the figure says nothing."""
    groups = GROUPS | MORE if more else GROUPS
    if "two loops" not in groups or os.cpu_count() >= 4:
        return groups
    print(f"two loops: not measured, for this machine has {os.cpu_count()} cores, not 4", file=sys.stderr)
    return {name: makers for name, makers in groups.items() if name != "two loops"}


def keep(figures, medians, options):
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    when = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    (HERE / "results").mkdir(exist_ok=True)
    path = HERE / "results" / f"{when}-{commit}.jsonl"
    with open(path, "w") as file:
        file.write(json.dumps({"time": when, "commit": commit, "machine": cpu, "cores": os.cpu_count(), "quick": options.quick}) + "\n")
        for (group, figure, name), values in figures.items():
            file.write(json.dumps({"group": group, "figure": figure, "set-up": name, "median": round(medians[group, figure, name], 6),
                                   "all": [round(value, 6) for value in values]}) + "\n")
    print(f"kept in {os.path.relpath(path)}", file=sys.stderr)


if __name__ == "__main__":
    main()
