#!/usr/bin/env python3
"""Stands between the controller and the API server, and kills the controller around a chosen write.

    fault_proxy.py SERVER TOKEN_FILE COMMAND...

Runs in the network of the test cluster's node. SERVER is HOST:PORT of the API server; COMMAND runs the controller, and
`{kubeconfig}` in it becomes the path of a kubeconfig that leads here. It reads one request a line from standard input
and answers each with one line, both JSON:

    {"do": "arm", "namespaces": [..], "at": K, "when": "before" | "after"}
        counts the writes to these namespaces from now on; the controller is killed at the K-th (0: at none): "before"
        its answer is passed on (the server has done it), or right "after". It is started again at once.
    {"do": "fail", "api": "/api/v1", "resource": "secrets", "how": "403" | "404" | "503" | "silence" | "garbage" | null}
        from now on reading that resource fails in that way, watches that are open included; null: nothing fails.
    {"do": "restart"}
        the controller is SIGKILLed and started again.
    {"do": "report"}
        {"writes": [[method, path, status]], "quiet": seconds since the last one, "killed": how often,
         "failed": how many reads failed since the last "fail"}

Leases and Events are passed on, and not counted. The Lease of a killed controller is deleted: waiting until it ends
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


class Plan:
    """Which writes count, and at which one the controller dies."""

    def __init__(self):
        self.lock = threading.Lock()
        self.arm([], 0, "after")

    def arm(self, namespaces, at, when):
        with self.lock:
            self.namespaces, self.at, self.when = namespaces, at, when
            self.begun, self.writes, self.killed, self.last = 0, [], 0, time.monotonic()

    def begin(self, method, path):
        """Called when a write arrives; true: this is the one."""
        parts = path.split("?")[0].split("/")
        counts = method in MUTATING and "leases" not in parts and "events" not in parts
        if not counts or not any(name in parts for name in self.namespaces):
            return None
        with self.lock:
            self.begun += 1
            self.last = time.monotonic()
            return self.begun == self.at and not self.killed

    def end(self, method, path, status):
        with self.lock:
            self.writes.append([method, path.split("?")[0], status])
            self.last = time.monotonic()

    def report(self):
        with self.lock:
            return {"writes": self.writes, "quiet": time.monotonic() - self.last, "killed": self.killed}


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
        self.target, self.how, self.count, self.streams = None, None, 0, {}

    def set(self, api, resource, how):
        with self.lock:
            self.target, self.how, self.count = (api, resource), how, 0
            for connection, path in list(self.streams.items()):
                if how and self.meets(path):
                    with contextlib.suppress(OSError):  # it has ended by itself
                        connection.shutdown(socket.SHUT_RDWR)
            self.lock.notify_all()

    def meets(self, path):
        api, resource = self.target
        rest = path.split("?")[0].removeprefix(api + "/").split("/")
        return path.startswith(api + "/") and resource == (rest[2:3] if rest[0] == "namespaces" and rest[2:] else rest)[0]

    def find(self, method, path):
        """How this read fails; None: it does not."""
        with self.lock:
            if method != "GET" or not self.how or not self.meets(path):
                return None
            self.count += 1
            return self.how

    def wait_for_end(self):
        with self.lock:
            how = self.how
            self.lock.wait_for(lambda: self.how != how)


class Controller:
    """The controller's process, started again after each kill."""

    def __init__(self, command, upstream):
        self.command, self.upstream, self.lock = command, upstream, threading.Lock()
        self.process = None

    def start(self):
        with self.lock:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)

    def kill(self):
        with self.lock:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            status, _ = self.upstream.once("DELETE", LEASE)
            if status not in (200, 404):
                print(f"the Lease was not deleted: {status}", file=sys.stderr)
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)


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
        server_connection = None

        def log_message(self, *_):
            pass

        def pass_on(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            ours = plan.begin(self.command, self.path)
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
            if ours is not None:
                plan.end(self.command, self.path, answer.status)
            if ours and plan.when == "before":
                self.close_connection = True
                return self.die()
            self.answer(answer, content)
            if ours:
                self.die()

        def fail(self, how):
            self.close_connection = True
            if how == "silence":
                return faults.wait_for_end()
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
                    self.wfile.write(piece)
            finally:
                faults.streams.pop(self.connection, None)

        def die(self):
            plan.killed += 1
            controller.kill()

        def handle(self):
            try:
                super().handle()
            except (OSError, http.client.HTTPException):
                pass  # the controller is gone, or the server: both are asked again
            finally:
                if self.server_connection:
                    self.server_connection.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    return Handler


def main(server, token_file, command):
    plan, faults = Plan(), Faults()
    with open(token_file, encoding="utf-8") as file:
        upstream = Upstream(server, file.read().strip())
    controller = Controller([], upstream)
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
                    faults.set(request["api"], request["resource"], request["how"])
                elif request["do"] == "restart":
                    controller.kill()
                print(json.dumps({**plan.report(), "failed": faults.count}), flush=True)
        finally:
            controller.process.kill()
            controller.process.wait()


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
