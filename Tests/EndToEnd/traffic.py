"""The clients of the tests: thin handles on the `traffic` tool, run in a pod's network or the node's."""
import contextlib
import json
import subprocess

from cluster import BIN, Failed, check

TOOL = str(BIN / "traffic")


class Hold:
    """Connections that stay open; every command answers who holds them."""

    def __init__(self, cluster, to, pod=None, timeout=5, http=False):
        language = ["--http"] if http else []
        self.process = cluster.exec([TOOL, "hold", "--to", to, "--timeout", str(timeout), *language], pod)
        self.last = {"open": {}, "ended": {}, "lastEnd": 0}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Ends them in order: when this returns nobody between counts them any more."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.process.stdin.close()
            self.process.wait(10)
        finish(self.process)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"traffic hold ended: {self.process.stderr.read()}")
        self.last = json.loads(line)
        return self.last

    def ask(self, command):
        self.tell(command)
        return self.answer()

    def open(self, count, by=1):
        """Opens `count` more, which must succeed, and all others must still be there."""
        before = self.last
        now = self.ask(f"open {count} by {by}")
        expect_more(before, now, count)
        return now["open"]

    def attempt(self, count):
        """Opens up to `count` more: for waiting until that works."""
        return self.ask(f"open {count}")["open"]

    def report(self):
        return self.ask("report")


def expect_more(before, now, count):
    """`count` connections more are open than before, and none has ended."""
    opened = sum(now["open"].values()) - sum(before["open"].values())
    check(opened == count and now["ended"] == before["ended"],
          f"opening {count} connections opened {opened}: before {before}, now {now}")


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

    def ask(self, command):
        """A command to `traffic load`, and its answer."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.line()

    def stop(self):
        """Tells `traffic load` to open no more, and returns its result."""
        self.process.stdin.write("stop\n")
        return self.result()

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


def expect_undisturbed(result, count):
    """What `traffic flow` says of `count` connections of which none broke, lied or fell silent for a second."""
    check(result["alive"] == count and not result["broken"] and result["corrupted"] == 0 and result["stalled"] == 0
          and result["messages"] >= count, f"{count} connections were to flow on: {result}")


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
