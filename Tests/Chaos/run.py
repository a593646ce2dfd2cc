#!/usr/bin/env python3
"""The rows of hack/chaos.sh, which says what they are and makes the namespaces that this runs in.

    run.py [--quick] [--list] [ROW...]

The end is a table in Markdown and `N rows held, M failed`; the exit code is 0 when none failed.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


class Interrupted(BaseException):
    """SIGTERM or SIGINT: what was started is ended on the way out."""


def interrupt(number, _):
    raise Interrupted(number)


def compile_tools(folder):
    for name, source in (("link", HERE / "link.c"), ("script", HERE / "script.c"), ("load", HERE.parent.parent / "bench/load.c")):
        subprocess.run(["cc", "-O2", "-o", str(folder / name), str(source)], check=True)
    os.environ["CHAOS_TOOLS"] = str(folder)


def judge(row, scale, failed):
    """One line of the table."""
    began = time.monotonic()
    print(f"-- {row.name}: {row.fault}", flush=True)
    try:
        figure, held = row.function(scale)
    except failed as error:
        figure, held = f"{error}".splitlines()[0][:160], False
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        figure, held = f"{type(error).__name__}: {error}"[:160], False
    print(f"{'held' if held else 'FAILED'} {row.name} ({time.monotonic() - began:.0f} s): {figure}; target: {row.target}", flush=True)
    return f"| {row.name} | {row.fault} | {row.target} | {figure} | {'held' if held else '**failed**'} |", held


def is_named(name, words):
    """B2 is B2a to B2d, and W is W1 to W4."""
    return any(name in (word, word + name[-1:]) if word[-1:].isdigit() and name[-1:].isalpha() else name == word or name.rstrip("0123456789") == word
               for word in words)


def main(arguments):
    words = [word.lower() for word in arguments if not word.startswith("-")]
    with tempfile.TemporaryDirectory(prefix="tieline-chaos-tools-") as folder:
        compile_tools(pathlib.Path(folder))
        from lab import Failed, need_programs
        import rows_costs, rows_faults, rows_load, rows_property, rows_streams, rows_wan  # noqa: E401, F401
        from table import ROWS, Scale
        need_programs()
        quick = "--quick" in arguments
        ROWS.sort(key=lambda row: (row.name[0], int(row.name[1:].rstrip("abcd")), row.name))
        chosen = [row for row in ROWS if (is_named(row.name.lower(), words) if words else not (quick and row.is_long))]
        if "--list" in arguments:
            for row in ROWS:
                print(f"{row.name:5} {row.fault}; {row.target}")
            return 0
        lines = [judge(row, Scale(quick), Failed) for row in chosen]
    print("\n| | fault | target | figure | |\n|---|---|---|---|---|")
    for line, _ in lines:
        print(line)
    held = sum(good for _, good in lines)
    print(f"\n{held} rows held, {len(lines) - held} failed")
    return 0 if lines and held == len(lines) else 1


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except Interrupted as signaled:
        sys.exit(128 + signaled.args[0])
