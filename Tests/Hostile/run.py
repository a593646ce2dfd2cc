#!/usr/bin/env python3
"""A hostile member site against real proxies: plain sites on loopback, one peer that speaks the wire by hand.

    run.py [ENTRY...]     all entries, or those whose name contains one of the words (D4, D5, ...)
    run.py --short        the reduced form, for machines that do other things too: less of each attack, once, and again (three
                          times at the most) while the p99 is beyond a bound that a busy machine keeps

TIELINE_BIN names the folder of the binaries (default: the release build).
"""
import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from place import Bounds, Failed, dies_with_parent  # noqa: E402

MODULES = ["paths", "resources", "routing", "malice"]


class Interrupted(BaseException):
    """SIGTERM or SIGINT: what was started is ended on the way out."""


def interrupt(number, _):
    raise Interrupted(number)


def go_first():
    """What runs beside the test on this machine waits for it, where the kernel groups processes by session and we may say so."""
    os.setsid()
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write("-20")


def entry(function, scale):
    """One entry, in a process of its own: its threads, its priority and what it starts end with it."""
    dies_with_parent()
    go_first()
    try:
        function(scale)
    except Failed as error:
        sys.exit(f"{error}")
    except Interrupted:
        sys.exit("interrupted")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        sys.exit("an error of the test")


def run(function, scale):
    process = multiprocessing.Process(target=entry, args=(function, scale))
    process.start()
    try:
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
            process.join(20)
            process.kill()
    return process.exitcode == 0


def main(arguments):
    words = [word.lower() for word in arguments if not word.startswith("-")]
    scale = 1
    if "--short" in arguments:
        scale = 0.3
        Bounds.rounds, Bounds.quiet, Bounds.floor = 1, 1.0, 0.04
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    passed, failed = [], []
    for module in MODULES:
        for name, function in list(vars(importlib.import_module(f"test_{module}")).items()):
            if not name.startswith("test_") or (words and not any(word in name for word in words)):
                continue
            title, began = name.removeprefix("test_").replace("_", " "), time.monotonic()
            print(f"-- {title}", flush=True)
            good = run(function, scale)
            (passed if good else failed).append(title)
            print(f"{'ok' if good else 'FAILED'} {title} ({time.monotonic() - began:.1f} s)", flush=True)
    for title in failed:
        print(f"FAILED {title}")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Interrupted as signaled:
        sys.exit(128 + signaled.args[0])
