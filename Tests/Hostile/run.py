#!/usr/bin/env python3
"""A hostile member site against real proxies: plain sites on loopback, one peer that speaks the wire by hand.

    run.py [ENTRY...]     all entries, or those whose name contains one of the words (D4, D5, ...)
    run.py --short        the reduced form: less of everything

TIELINE_BIN names the folder of the binaries (default: the release build).
"""
import importlib
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from place import Failed  # noqa: E402

MODULES = ["paths", "resources", "routing"]


def main(arguments):
    words = [word.lower() for word in arguments if not word.startswith("-")]
    scale = 0.3 if "--short" in arguments else 1
    passed, failed = [], []
    for module in MODULES:
        for name, function in list(vars(importlib.import_module(f"test_{module}")).items()):
            if not name.startswith("test_") or (words and not any(word in name for word in words)):
                continue
            title, began = name.removeprefix("test_").replace("_", " "), time.monotonic()
            print(f"-- {title}", flush=True)
            try:
                function(scale)
                passed.append(title)
                print(f"ok {title} ({time.monotonic() - began:.1f} s)", flush=True)
            except Exception as error:  # whatever it is, the other entries are run
                failed.append(title)
                print(f"FAILED {title}: {error}", flush=True)
                if not isinstance(error, Failed):
                    traceback.print_exc(file=sys.stdout)
    for title in failed:
        print(f"FAILED {title}")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
