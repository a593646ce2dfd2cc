#!/usr/bin/env python3
"""Fails for each function of Sources that is longer than one reads at a glance."""
import pathlib
import re
import sys

LIMIT = 60
# A declaration whose body opens at the end of the line; or the end of a parameter list over several lines.
OPENS = re.compile(r"^(\s*)(?:(?:[\w@()]+ )*(?:func|init|deinit|var|subscript)\b.*|\).*)\{\s*$")


def too_long(path):
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines):
        opening = OPENS.match(line)
        if not opening:
            continue
        end = next((at for at in range(number + 1, len(lines)) if lines[at] == opening[1] + "}"), number)
        if end - number > LIMIT:
            yield f"{path}:{number + 1}: {end - number} lines, at most {LIMIT}: {line.strip()}"


def main():
    found = [fault for path in sorted(pathlib.Path("Sources").rglob("*.swift")) for fault in too_long(path)]
    print("\n".join(found) or "no function is too long")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
