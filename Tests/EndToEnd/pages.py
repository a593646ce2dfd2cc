"""What stands on the pages of docs/, for tests that use it as it stands."""
import textwrap

from cluster import ROOT, check


def blocks(page, heading=None):
    """The indented blocks of a section (of what comes before the first one), in their order, without their indentation."""
    found, lines, here = [], [], heading is None
    for line in [*(ROOT / "docs" / page).read_text().splitlines(), "## "]:
        if here and (line.startswith("    ") or (lines and not line)):
            lines.append(line)
            continue
        if lines:
            found.append(textwrap.dedent("\n".join(lines)).strip() + "\n")
            lines = []
        if line.startswith("## "):
            here = line == f"## {heading}"
    check(found, f"docs/{page} has no block under {heading!r}")
    return found


def commands(block):
    """Of a block that shows a terminal: each command, and the first line that it prints there."""
    lines = block.splitlines()
    return [(line.removeprefix("$ "), (lines[place + 1:] or [""])[0]) for place, line in enumerate(lines) if line.startswith("$ ")]
