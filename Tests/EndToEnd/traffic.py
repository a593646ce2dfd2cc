"""The clients of the tests: thin handles on the `traffic` tool, run in a pod's network or the node's."""
import json
import subprocess

from cluster import BIN, Failed

TOOL = str(BIN / "traffic")


class Hold:
    """Connections that stay open; every command answers who holds them."""

    def __init__(self, cluster, to, pod=None, timeout=5):
        self.process = cluster.exec([TOOL, "hold", "--to", to, "--timeout", str(timeout)], pod)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        finish(self.process)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"traffic hold ended: {self.process.stderr.read()}")
        return json.loads(line)

    def ask(self, command):
        self.tell(command)
        return self.answer()

    def open(self, count, by=1):
        return self.ask(f"open {count} by {by}")["open"]

    def report(self):
        return self.ask("report")


class Run:
    """A client that runs for a while and reports once at its end."""

    def __init__(self, cluster, mode, to, pod=None, **options):
        command = [TOOL, mode, "--to", to]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        self.process = cluster.exec(command, pod)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        finish(self.process)

    def line(self):
        """The next line of its output, as JSON."""
        text = self.process.stdout.readline()
        if not text:
            raise Failed(f"traffic ended early: {self.process.stderr.read()}")
        return json.loads(text)

    def result(self, timeout=120):
        """Waits for its end (closing its input) and returns the last line."""
        out, errors = self.process.communicate(timeout=timeout)
        lines = [line for line in out.splitlines() if line]
        if not lines:
            raise Failed(f"traffic said nothing: {errors}")
        return json.loads(lines[-1])


def finish(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def grouped(counts, groups):
    """Sums counts by server into counts by group: a server's name begins with its group's."""
    result = {group: 0 for group in groups}
    for name, count in counts.items():
        owners = [group for group in groups if name.startswith(group)]
        if len(owners) != 1:
            raise Failed(f"unexpected server {name}")
        result[owners[0]] += count
    return result
