#!/usr/bin/env python3
"""Stands between the controller and the API server, and kills the controller around a chosen write.

    fault_proxy.py SERVER TOKEN_FILE ADMIN_TOKEN_FILE COMMAND...

Runs in the network of the test cluster's node. SERVER is HOST:PORT of the API server, TOKEN_FILE
holds what the controller may show there, ADMIN_TOKEN_FILE what may delete its Lease; COMMAND runs the controller, and
`{kubeconfig}` in it becomes the path of a kubeconfig that leads here. It reads one request a line from standard input
and answers each with one line, both JSON:

    {"do": "arm", "namespaces": [..], "at": K, "when": "before" | "after"}
        counts the writes to these namespaces from now on; the controller is killed at the K-th (0: at none): "before"
        its answer is passed on (the server has done it), or right "after". It is started again at once. What was armed for
        other namespaces stays so.
    {"do": "fail", "api": "/api/v1", "resource": "secrets", "how":
     "403" | "404" | "503" | "silence" | "garbage" | "old" | null, "only": TEXT}
        from now on reading that resource fails in that way, watches that are open included, and of leases writing too;
        "old": nothing fails, but watches that are open tell nothing more; null: it is as usual again. With
        "only" this concerns the requests whose path and query contain TEXT.
    {"do": "restart"}
        the controller is SIGKILLed and started again.
    {"do": "report", "namespaces": [..]}
        of what was armed for these namespaces (without any: of what was armed last)
        {"writes": [[method, path, status]], "quiet": seconds since the last one, "seen": how many writes began,
         "killed": whether the controller that made the K-th died by SIGKILL, "leads": whether one leads now,
         "failed": {"API/RESOURCE": how many reads failed in the present way}, "ended": the exit codes with which
         the controller ended by itself}
    {"do": "history", "namespaces": [..]}
        the writes to these namespaces since the proxy began, and how long ago the last one was.

Leases are passed on, and not counted. The Lease of a killed controller is deleted: waiting until it ends
would add 15 s to every kill, and shows nothing here.
"""
import contextlib
import http.client
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

MUTATING = {"POST", "PUT", "PATCH", "DELETE"}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/tieline-system/leases/tieline-controller"


class Arm:
    """Some namespaces whose writes are counted, and at which one the controller dies."""

    def __init__(self, namespaces, at, when, mark):
        self.namespaces, self.at, self.when = namespaces, at, when
        self.seen, self.killed, self.mark, self.began = 0, False, mark, time.monotonic()


class Plan:
    """Which writes count, and at which ones the controller dies."""

    def __init__(self):
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.history, self.touched = [], {}  # every write; when each namespace was last written to
        self.arms = []

    def arm(self, namespaces, at, when):
        with self.lock:
            self.arms = [arm for arm in self.arms if not set(arm.namespaces) & set(namespaces)]
            self.arms.append(Arm(namespaces, at, when, len(self.history)))

    def begin(self, method, path):
        """Called when a request arrives; whether it counts, and the arm whose write to die at it is."""
        path = path.split("?")[0]
        parts = path.split("/")
        if method not in MUTATING or "namespaces" not in parts or "leases" in parts:
            return False, None
        namespace = namespace_of(path)
        with self.lock:
            self.touched[namespace] = time.monotonic()
            for arm in self.arms:
                if namespace in arm.namespaces:
                    arm.seen += 1
                    return True, arm if arm.seen == arm.at else None
            return True, None

    def end(self, method, path, status):
        path = path.split("?")[0]
        with self.lock:
            self.history.append([method, path, status])
            self.touched[namespace_of(path)] = time.monotonic()

    def find(self, namespaces):
        return next(arm for arm in reversed(self.arms) if namespaces is None or arm.namespaces == namespaces)

    def report(self, namespaces=None):
        """Of what is armed for these namespaces; without any, of what was armed last."""
        with self.lock:
            arm = self.find(namespaces)
            return {**self.look(arm.namespaces, arm.mark, arm.began), "seen": arm.seen, "killed": arm.killed}

    def since_ever(self, namespaces):
        with self.lock:
            return self.look(namespaces, 0, self.began)

    def look(self, namespaces, mark, began):
        writes = [write for write in self.history[mark:] if namespace_of(write[1]) in namespaces]
        last = max([began, *(self.touched[name] for name in namespaces if name in self.touched)])
        return {"writes": writes, "quiet": time.monotonic() - last}


def namespace_of(path):
    parts = path.split("/")
    return parts[parts.index("namespaces") + 1]


class Faults:
    """Which reads fail, and how."""

    ANSWERS = {
        "403": (403, "application/json", {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
                                          "reason": "Forbidden", "message": "reading is forbidden by the test"}),
        # What a server says of a path that it does not serve: no Status, and nothing about any object.
        "404": (404, "text/plain", "404 page not found"),
        "503": (503, "application/json", {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503,
                                          "reason": "ServiceUnavailable", "message": "unavailable by the test"}),
        "garbage": (200, "application/json", '{"kind": "List", "items": [{"meta'),
    }

    def __init__(self):
        self.lock = threading.Condition()
        self.ways, self.only, self.counts, self.streams = {}, {}, {}, {}

    def set(self, api, resource, how, only=""):
        target = f"{api}/{resource}"
        with self.lock:
            self.ways[target], self.only[target], self.counts[target] = how, only, 0
            for connection, path in list(self.streams.items()):
                if how and how != "old" and target_of(path) == target and only in path:
                    with contextlib.suppress(OSError):  # it has ended by itself
                        connection.shutdown(socket.SHUT_RDWR)
            self.lock.notify_all()

    def find(self, method, path):
        """How this request fails; None: it does not."""
        target = target_of(path)
        with self.lock:
            how = self.ways.get(target)
            if not how or how == "old" or self.only[target] not in path:
                return None
            if method != "GET" and not target.endswith("/leases"):
                return None
            self.counts[target] += 1
            return how

    def wait_while(self, path, how):
        """Until what `path` reads does not fail in this way any more."""
        target = target_of(path)
        with self.lock:
            self.lock.wait_for(lambda: self.ways.get(target) != how)


def target_of(path):
    """API/RESOURCE of a path, as "/apis/apps/v1/deployments"."""
    parts = path.split("?")[0].split("/")
    depth = 3 if parts[1] == "api" else 4
    rest = parts[depth:]
    resource = rest[2] if rest[0:1] == ["namespaces"] and rest[2:] else (rest or [""])[0]
    return "/".join([*parts[:depth], resource])


class Controller:
    """The controller's process, started again after each kill, and when it ends by itself as one without the lease does."""

    def __init__(self, command, admin):
        self.command, self.admin, self.lock = command, admin, threading.Lock()
        self.process, self.ended, self.is_wanted = None, [], True
        self.leads = False  # whether it has written the Lease since it was started

    def start(self):
        self.run()
        threading.Thread(target=self.watch, daemon=True).start()

    def run(self):
        self.leads, self.process = False, subprocess.Popen(self.command, stdin=subprocess.DEVNULL)

    def led(self, process):
        """That process has written the Lease."""
        with self.lock:
            self.leads = self.leads or process is self.process

    def watch(self):
        """Starts it again when it ends by itself; until `stop`."""
        while True:
            self.process.wait()
            with self.lock:
                if not self.is_wanted:
                    return
                if self.process.poll() is not None:
                    self.ended.append(self.process.returncode)
                    self.run()

    def stop(self):
        with self.lock:
            self.is_wanted = False
            self.process.kill()
            self.process.wait()

    def kill(self, process=None):
        """Kills it, and starts the next one; whether `process` (none: the present one) has died by SIGKILL, now or before."""
        with self.lock:
            victim = process or self.process
            if victim is self.process:
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                status, _ = self.admin.once("DELETE", LEASE)
                assert status in (200, 404), f"the Lease was not deleted: {status}"
                self.run()
            return victim.wait() == -signal.SIGKILL


class Upstream:
    """The API server; it is the test's own, so that its certificate needs no check."""

    def __init__(self, address, token):
        self.address, self.token = address, token
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def connect(self):
        host, _, port = self.address.rpartition(":")
        return http.client.HTTPSConnection(host, int(port), context=self.context, timeout=700)

    def send(self, connection, method, path, body, headers):
        headers = {**headers, "Authorization": f"Bearer {self.token}", "Host": self.address}
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse()

    def once(self, method, path):
        connection = self.connect()
        answer = self.send(connection, method, path, None, {})
        body = answer.read()
        connection.close()
        return answer.status, body


def handler(plan, faults, controller, upstream):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_connection, client = None, None

        def log_message(self, *_):
            pass

        def pass_on(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            is_counted, arm = plan.begin(self.command, self.path)
            keep = {key: value for key, value in self.headers.items()
                    if key.lower() not in ("authorization", "host", "connection", "accept-encoding")}
            if how := faults.find(self.command, self.path):
                return self.fail(how)
            if self.server_connection is None:
                self.server_connection = upstream.connect()
            answer = upstream.send(self.server_connection, self.command, self.path, body, keep)
            if "watch=" in self.path:
                return self.stream(answer)
            content = answer.read()
            if is_counted:
                plan.end(self.command, self.path, answer.status)
            if target_of(self.path).endswith("/leases") and self.command in MUTATING and answer.status < 300:
                controller.led(self.client)
            if arm and arm.when == "before":
                self.close_connection = True
                return self.kill(arm)
            self.answer(answer, content)
            if arm:
                self.kill(arm)

        def fail(self, how):
            self.close_connection = True
            if how == "silence":
                return faults.wait_while(self.path, "silence")
            status, kind, body = Faults.ANSWERS[how]
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answer(self, answer, content):
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("transfer-encoding", "content-length", "connection", "date"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def stream(self, answer):
            self.close_connection = True
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
            self.send_header("Connection", "close")
            self.end_headers()
            faults.streams[self.connection] = self.path
            try:
                while piece := answer.read1(65536):
                    faults.wait_while(self.path, "old")
                    self.wfile.write(piece)
            finally:
                faults.streams.pop(self.connection, None)

        def kill(self, arm):
            arm.killed = controller.kill(self.client)

        def handle(self):
            self.client = controller.process  # whose connection it is, and stays
            try:
                super().handle()
            except (OSError, http.client.HTTPException):
                pass  # the controller is gone, or the server: both are asked again
            finally:
                if self.server_connection:
                    self.server_connection.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    return Handler


def main(server, token_file, admin_token_file, command):
    plan, faults = Plan(), Faults()
    with open(token_file, encoding="utf-8") as file, open(admin_token_file, encoding="utf-8") as admin:
        upstream = Upstream(server, file.read().strip())
        controller = Controller([], Upstream(server, admin.read().strip()))
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(plan, faults, controller, upstream))
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
        json.dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "faults",
            "clusters": [{"name": "faults", "cluster": {"server": f"http://127.0.0.1:{listener.server_port}"}}],
            "contexts": [{"name": "faults", "context": {"cluster": "faults", "user": "faults"}}],
            "users": [{"name": "faults", "user": {}}]}, file)
        file.flush()
        controller.command = [word.replace("{kubeconfig}", file.name) for word in command]
        controller.start()
        try:
            for line in sys.stdin:
                request = json.loads(line)
                if request["do"] == "arm":
                    plan.arm(request["namespaces"], request["at"], request["when"])
                elif request["do"] == "fail":
                    faults.set(request["api"], request["resource"], request["how"], request.get("only", ""))
                elif request["do"] == "restart":
                    controller.kill()
                namespaces = request.get("namespaces")
                report = plan.since_ever(namespaces) if request["do"] == "history" else plan.report(namespaces)
                print(json.dumps({**report, "failed": faults.counts, "ended": controller.ended,
                                  "leads": controller.leads}), flush=True)
        finally:
            controller.stop()


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
