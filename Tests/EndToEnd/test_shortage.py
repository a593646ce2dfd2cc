"""A plain site whose host is short of something: descriptors, room on the disk. What it says, and that it heals."""
import contextlib
import json
import pathlib
import resource
import socket
import struct
import subprocess
import tempfile
import urllib.request

from cluster import BIN, check, wait
from network import API

ADDRESS = "127.78.0.1"
SITE = f"apiVersion: {API}\nkind: Site\nmetadata: {{name: plain}}\nspec: {{}}\n"


def service(name, port, target):
    return (f"---\napiVersion: {API}\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports: [{{name: tcp, port: {port}, "
            f"targetPort: {target}}}]\n  hosts: [{ADDRESS}]\n  listen: {{enabled: true}}\n")


def proxy(*arguments):
    return [str(BIN / "tieline-proxy"), "run", "--bind", ADDRESS, "--admin", f"{ADDRESS}:5673", "--loops", "2", *arguments]


@contextlib.contextmanager
def running(command, log, **options):
    with open(log, "w") as errors:
        process = subprocess.Popen(command, stderr=errors, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def takes(port):
    try:
        socket.create_connection((ADDRESS, port), 2).close()
        return True
    except OSError:
        return False


def metric(name):
    with urllib.request.urlopen(f"http://{ADDRESS}:5673/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), None)


def status(*arguments):
    """What `tieline status` of a plain site prints, and its exit code."""
    done = subprocess.run([str(BIN / "tieline"), "status", *arguments], text=True, capture_output=True, timeout=20)
    return done.stdout + done.stderr, done.returncode


@contextlib.contextmanager
def servers(count):
    """Servers that take connections and say nothing."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((ADDRESS, 0), backlog=1000)) for _ in range(count)]
        yield [s.getsockname()[1] for s in sockets]


def test_p14_short_of_descriptors_is_told(_):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, servers(8) as ports:
        text = SITE + "".join(service(f"s{index}", 7100 + index, port) for index, port in enumerate(ports))
        pathlib.Path(folder, "site.yaml").write_text(text)
        log = pathlib.Path(folder, "log")
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        with running(proxy("--site-dir", folder), log, preexec_fn=limit) as process:
            wait("the site is ready", lambda: status("--site-dir", folder)[1] == 0, 20)
            shown = status("--site-dir", folder)[0]
            check("SITE" in shown and "ENDPOINTS" in shown and "s7" in shown, f"the tables of a plain site: {shown}")
            check(metric('tieline_short{resource="descriptors"}') == 0, "nothing is short yet")
            # Silent clients: each service takes its share of them, all together take what there is.
            clients = [socket.create_connection((ADDRESS, 7100 + index % 8)) for index in range(160)]
            wait("the metric says it", lambda: metric('tieline_short{resource="descriptors"}') == 1, 20)
            check(metric('tieline_shortages_total{resource="descriptors"}') > 0, "and counts")
            wait("the status says it, with the remedy", lambda: "LimitNOFILE" in status("--site-dir", folder)[0], 20)
            print("   " + [line for line in status("--site-dir", folder)[0].splitlines() if "LimitNOFILE" in line][0])
            check(status("--site-dir", folder)[1] == 0, "the site is Ready all the same")
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            wait("it is over", lambda: metric('tieline_short{resource="descriptors"}') == 0, 20)
            wait("the status has forgotten it", lambda: "LimitNOFILE" not in status("--site-dir", folder)[0], 20)
            lines = lambda: [line for line in log.read_text().splitlines() if "descriptors are short" in line]
            wait("the log says that it is over", lambda: "no longer" in lines()[-1])
            check(len(lines()) == 2, f"one line, and one for its end: {lines()}")
            process.terminate()
            process.wait(20)
        shown, code = status("--site-dir", folder)
        check(code == 3 and "No tieline-proxy runs" in shown, f"what is old is said to be: {code} {shown}")


def test_p14_a_place_without_status_is_told(_):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder:
        text, code = status("--site-dir", folder, "--state", folder)
        check(code == 1 and f"{folder}/status" in text and "--state" in text, f"{code}: {text}")
        text, code = status("--site-dir", folder, "-A")
        check(code == 64 and "--site-dir" in text, f"{code}: {text}")


def in_small_disk(script, state, *command):
    """Runs a shell script, then the command, in a mount namespace where `state` is a disk of 256 KiB."""
    mount = f'mount -t tmpfs -o size=256k,mode=755 tieline "{state}" && {{ {script}; }} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", *command]


def of(process, path):
    """`path` as the process sees it."""
    return pathlib.Path(f"/proc/{process.pid}/root{path}")


def fill(folder):
    """Takes all room of a disk; returns the file."""
    path = folder / "ballast"
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return path


def test_p13_a_full_disk_at_the_first_start(_):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, tempfile.TemporaryDirectory() as state:
        pathlib.Path(folder, "site.yaml").write_text(SITE)
        listing = pathlib.Path(folder, "listing")
        run = " ".join(f"'{word}'" for word in proxy("--site-dir", folder, "--state", state))
        script = f"head -c 1m /dev/zero >{state}/ballast 2>/dev/null || true; {run}; echo $? >{listing}; ls -A {state} >>{listing}"
        done = subprocess.run(in_small_disk(script, state, "true"), text=True, capture_output=True, timeout=60)
        code, *left = listing.read_text().split()
        print(f"   exit code {code}, left: {left}; {done.stderr.strip()[-200:]}")
        check(code == "1", f"it may be tried again (systemd), so not exit code 2 but 1: {code}")
        check("No space left" in done.stderr, f"the reason is told: {done.stderr}")
        check(set(left) <= {"ballast", ".lock"}, f"nothing half made is left: {left}")


def test_p13_a_disk_that_fills_up(_):
    with tempfile.TemporaryDirectory(prefix="tieline-plain-") as folder, tempfile.TemporaryDirectory() as state, servers(1) as ports:
        site = pathlib.Path(folder, "site.yaml")
        write = lambda extra: (pathlib.Path(folder, ".new").write_text(SITE + extra), pathlib.Path(folder, ".new").rename(site))
        write(service("first", 7100, ports[0]))
        log = pathlib.Path(folder, "log")
        with running(in_small_disk("true", state, *proxy("--site-dir", folder, "--state", state)), log) as process:
            lines = lambda word: [line for line in log.read_text().splitlines() if word in line]
            look = lambda: of(process, state)
            wait("it runs", lambda: (look() / "status" / "service-first.json").exists(), 20)
            ballast = fill(look())
            # What changes must be written: more than fits.
            write("".join(service(f"s{index}", 7100 + index, ports[0]) for index in range(20)))
            wait("it is told", lambda: lines("no status can be written") and lines("cannot be kept"), 20)
            wait("and works", lambda: takes(7119), 20)
            began = lambda: len(lines("No space left"))
            before = began()
            write("".join(service(f"t{index}", 7200 + index, ports[0]) for index in range(20)))
            wait("the next change works too", lambda: takes(7219), 20)
            check(before == 2 and began() == 2, f"one line for each cause: {lines('No space left')}")
            ballast.unlink()
            wait("statuses are written again", lambda: (look() / "status" / "service-t19.json").exists(), 20)
            kept = lambda: "t19" in json.dumps(json.loads((look() / ".last-good.json").read_text()))
            wait("and the files are kept, without another change", kept, 25)
            # Both are told after they were written.
            wait("the end is told", lambda: lines("can be written again") and lines("can be kept again"), 20)
            check(len(lines("can be written again")) == 1 and len(lines("can be kept again")) == 1, f"one line for the end: {log.read_text()}")
            wait("nothing half written is left", lambda: not any(".tmp-" in path.name for path in look().rglob("*")), 20)
