#!/usr/bin/env python3
"""Checks the layers of the target Proxy: which file names the types of which, and in which order.

A folder may name the types of folders before it in ORDER, not of those behind it. No more than LIMIT files name each other
in a circle. `--dot` prints the graph for graphviz instead.
"""
import pathlib
import re
import sys

ORDER = ["Loop", "Lanes", "Streams", "Agents", "."]
LIMIT = 5
DECLARATION = re.compile(
    r"^(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:package|public|internal|final|indirect|nonisolated)\s+)*"
    r"(?:struct|class|enum|protocol|actor|typealias)\s+(\w+)", re.M)
LITERAL = re.compile(r'"""(?:.|\n)*?"""|"(?:\\.|[^"\\\n])*"')


def code_of(text: str) -> str:
    text = re.sub(r"//[^\n]*", "", LITERAL.sub('""', text))
    return re.sub(r"/\*(?:.|\n)*?\*/", "", text)


def graph(root: pathlib.Path) -> dict[str, set[str]]:
    """The files that each file names a type of, as paths below `root`."""
    code = {str(p.relative_to(root)): code_of(p.read_text()) for p in sorted(root.rglob("*.swift"))}
    owners: dict[str, str] = {}
    for path, text in code.items():
        for name in DECLARATION.findall(text):
            owners[name] = path
    words = {path: set(re.findall(r"\b[A-Z]\w+\b", text)) for path, text in code.items()}
    return {path: {owners[word] for word in found if word in owners} - {path} for path, found in words.items()}


def folder(path: str) -> str:
    return path.split("/")[0] if "/" in path else "."


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components with more than one file (Tarjan)."""
    numbers: dict[str, int] = {}
    lows: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(path: str) -> None:
        numbers[path] = lows[path] = len(numbers)
        stack.append(path)
        for other in sorted(edges[path]):
            if other not in numbers:
                visit(other)
                lows[path] = min(lows[path], lows[other])
            elif other in stack:
                lows[path] = min(lows[path], numbers[other])
        if lows[path] == numbers[path]:
            at = stack.index(path)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for path in sorted(edges):
        if path not in numbers:
            visit(path)
    return [circle for circle in found if len(circle) > 1]


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent / "Sources" / "Proxy"
    edges = graph(root)
    if "--dot" in sys.argv[1:]:
        print("digraph Proxy {")
        for path, others in edges.items():
            for other in sorted(others):
                print(f'  "{path}" -> "{other}";')
        print("}")
        return 0
    errors = [f"{path}: the folder is not in the order of hack/check-layers.py" for path in edges if folder(path) not in ORDER]
    for path, others in edges.items():
        for other in sorted(others):
            if folder(path) in ORDER and folder(other) in ORDER and ORDER.index(folder(path)) < ORDER.index(folder(other)):
                errors.append(f"{path} names what {other} declares, which is a layer above")
    for circle in circles(edges):
        if len(circle) > LIMIT:
            errors.append(f"{len(circle)} files name each other in a circle, {LIMIT} may: {', '.join(circle)}")
    print("\n".join(errors) if errors else "the layers of Proxy are in order")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
