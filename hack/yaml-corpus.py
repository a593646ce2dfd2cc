#!/usr/bin/env python3
"""Odd manifest files, and what kubectl makes of each: the expected values of the test "P10" of NetworkAPITests.

    hack/yaml-corpus.py           compares the committed values with those of the kubectl at hand
    hack/yaml-corpus.py --write   writes them anew
"""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE = ROOT / "hack/yaml-corpus.json"
HEAD = "apiVersion: tieline.dev/v1alpha1\nkind: Link\nmetadata: {name: odd}\nspec:\n"

PLAIN = [  # scalars without quotes
    "yes", "Yes", "YES", "yEs", "no", "No", "on", "On", "off", "OFF", "y", "Y", "n", "N", "true", "True", "TRUE", "tRue", "false",
    "null", "Null", "NULL", "~", "", "nil", "0", "-0", "+1", "10", "010", "0o14", "0x1F", "-0x1F", "0b101", "08", "1_000", "_1",
    "1__0", "6:15:21", "2001:0:0:0:0:0:0:1", "1:2", "-1:30", "1.5", "1.", ".5", "-.5", "+.5", "1e3", "1e+3", "1E-2", "1.0",
    "5671.0", ".inf", "1.2.3.4", "127.1", "0177.0.0.1", "2130706433", "9223372036854775807", "2001-01-01",
    "2001-01-01T00:00:00Z", "12:30", "1,000", "::1", "fe80::1", "=", "a b", "a:b", "a#b", "db.example.com.", "DB.Example.COM", "0.0",
    "1e", "0x", "0xZ", "+", "-x", ".", "..", "1-2", "%41", "10s", "250ms", "1h30m"]
TAGGED = ['"5"', "'5'", "!!str 5", "!!int 5", "!!float 5", "!!bool yes", '"yes"', "!!str yes", "!mine 5", "'it''s'",
          '"a\\tb"', '"\\u00e9"', "|\n    a\n    b\n", ">\n    a\n    b\n", "|-\n    a\n", "[1, 2, ]", "{a: 1, b: }", "[]", "{}", "[a, [b, {c: d}]]"]
WHOLE = {
    "byte order mark": ("\ufeff" + HEAD + "  cost: 5\n").encode(),
    "carriage returns": (HEAD + "  cost: 5\n  note: a\n").replace("\n", "\r\n").encode(),
    "utf-16 with mark": (HEAD + "  cost: 5\n").encode("utf-16"),
    "no line feed at the end": (HEAD + "  cost: 5").encode(),
    "a comment before": ("# a\n\n" + HEAD + "  cost: 5\n").encode(),
    "directives": ("%YAML 1.1\n---\n" + HEAD + "  cost: 5\n").encode(),
    "begins with a separator": ("---\n" + HEAD + "  cost: 5\n").encode(),
    "ends with a separator": (HEAD + "  cost: 5\n---\n").encode(),
    "ends with dots": (HEAD + "  cost: 5\n...\n").encode(),
    "json": json.dumps({"apiVersion": "tieline.dev/v1alpha1", "kind": "Link", "metadata": {"name": "odd"},
                        "spec": {"cost": 5, "note": "a\u00e9"}}).encode(),
    "indented json": json.dumps({"apiVersion": "tieline.dev/v1alpha1", "kind": "Link", "metadata": {"name": "odd"},
                                 "spec": {"cost": 5.0}}, indent=4).encode(),
    "anchor and alias": (HEAD + "  a: &x {b: 1}\n  c: *x\n").encode(),
    "merge key": (HEAD + "  a: &x {b: 1, c: 2}\n  d: {<<: *x, c: 3}\n").encode(),
    "merge list": (HEAD + "  a: &x {b: 1}\n  c: &y {b: 2, d: 3}\n  e: {<<: [*x, *y]}\n").encode(),
    "quoted merge key": (HEAD + "  a: &x {b: 1}\n  d: {'<<': *x}\n").encode(),
    "numbers as keys": (HEAD + "  a: {1: x, '2': y}\n").encode(),
    "folded over lines": (HEAD + "  note: a\n    b\n").encode(),
    "long flow": (HEAD + "  a: [" + ", ".join(str(i) for i in range(50)) + "]\n").encode(),
    "deep indentation": (HEAD + "        cost: 5\n").encode(),
}


def cases():
    for text in PLAIN:
        yield f"value {text or 'nothing'}", (HEAD + f"  value: {text}\n").encode()
    for text in TAGGED:
        yield f"value {text!r}", (HEAD + f"  value: {text}\n").encode()
    yield from WHOLE.items()


def kubectl(data):
    """The object that kubectl reads; None when it refuses the file."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        path = subprocess.run([ROOT / "hack/kubectl.sh"], capture_output=True, text=True).stdout.strip()
        run = subprocess.run(["kubectl", "annotate", "--local", "-f", file.name, "tieline.dev/x=y", "-o", "json"],
                             capture_output=True, text=True, env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"})
    if run.returncode:
        return None
    item = json.loads(run.stdout)
    del item["metadata"]["annotations"]
    return item


def main():
    found = [{"name": name, "file": base64.b64encode(data).decode(), "object": kubectl(data)} for name, data in cases()]
    text = json.dumps(found, indent=1, ensure_ascii=True) + "\n"
    if "--write" in sys.argv[1:]:
        FILE.write_text(text)
    elif json.loads(FILE.read_text()) != found:
        before = {item["name"]: item for item in json.loads(FILE.read_text())}
        print("\n".join(f"{item['name']}: {item['object']}" for item in found if before.get(item["name"]) != item))
        return 1
    print(f"{len(found)} files, {sum(item['object'] is None for item in found)} of them refused by kubectl")
    return 0


if __name__ == "__main__":
    sys.exit(main())
