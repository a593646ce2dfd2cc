"""Malice by numbers: forged origins, stolen and guessed stream names, replays, false routes, frames that are none. None is accepted."""
import contextlib
import multiprocessing
import os
import random
import socket
import struct
import threading
import time

from place import SINK, Place, check, start, wait
from wire import ACK, CANCEL, DATA, FIN, LSA, OPEN, OPENED, REFUSED, RESET, SUMMARY, Identity, Lane, frame

VAULT = "vault/http"  # a service of V that nobody may reach by what is tried here
BATCH = 200
WAITING = 20_000  # answers that may be outstanding


def count_connections(listener, counted):
    """A server that only counts who reaches it; it ends nothing by itself, which would be a fault to look after."""
    def one(client):
        with contextlib.suppress(OSError), client:
            while client.recv(4096):
                pass

    while True:
        client, _ = listener.accept()
        with counted.get_lock():
            counted.value += 1
        threading.Thread(target=one, args=(client,), daemon=True).start()


class Honest:
    """One long connection of W's, each of whose bytes is looked at."""

    def __init__(self, place):
        self.socket = socket.create_connection((place.w.address, 8080), 10)
        self.socket.settimeout(20)
        self.stop, self.error, self.lines = threading.Event(), None, 0
        self.thread = threading.Thread(target=self.talk, daemon=True)
        self.thread.start()

    def talk(self):
        try:
            file = self.socket.makefile("rwb")
            while not self.stop.is_set():
                line = b"%d %s\n" % (self.lines, os.urandom(20).hex().encode())
                file.write(line)
                file.flush()
                answer = file.readline()
                if answer != line:
                    self.error = f"line {self.lines} came back as {answer!r}"
                    return
                self.lines += 1
                time.sleep(0.002)
        except OSError as error:
            self.error = f"{error} after {self.lines} lines"

    def end(self):
        self.stop.set()
        self.thread.join(30)
        check(self.error is None, f"an honest connection: {self.error}")


class Malice:
    """What is tried, some at a time; each gives the frames of `BATCH` attempts."""

    def __init__(self, identity, victim, used, choice):
        self.identity, self.used, self.choice = identity, used, choice
        self.victim = victim  # W's ProxyID: whose name is used
        self.number = 1 << 20

    def next(self):
        self.number += 1
        return self.number

    def frames(self, lane):
        kind = self.choice.choice(self.kinds)
        return kind.__name__, b"".join(kind(self, lane) for _ in range(BATCH))

    def forged_origin(self, lane):
        """Another site's stream, with the MAC that this site can make."""
        return lane.open_frame(self.next(), VAULT, ingress=self.victim)

    def stolen_signer(self, lane):
        """The name and the signer of another site, and a guess at its MAC."""
        whole = bytearray(lane.open_frame(self.next(), VAULT, ingress=self.victim))
        at = len(whole) - 4 - 16 - 34
        whole[at:at + 34] = self.victim
        whole[at + 34:at + 50] = os.urandom(16)
        return bytes(whole)

    def bad_mac(self, lane):
        whole = bytearray(lane.open_frame(self.next(), VAULT))
        whole[len(whole) - 4 - 1 - self.choice.randrange(16)] ^= 1 << self.choice.randrange(8)
        return bytes(whole)

    def other_target(self, lane):
        """A MAC over one thing under the frame of another."""
        good, other = lane.open_frame(self.next(), SINK), lane.open_frame(self.number, VAULT)
        return other[:-20] + good[-20:]

    def replay(self, lane):
        """A number that was used."""
        return lane.open_frame(self.used, VAULT, label=self.next() % 131072)

    def false_route(self, lane):
        """A way over proxies that are none, or through W into V again."""
        ghost = self.identity.proxy()
        lane.keys[ghost] = lane.keys[lane.neighbor]
        frames = lane.open_frame(self.next(), VAULT, route=[lane.neighbor, ghost])
        del lane.keys[ghost]
        return frames

    def guessed_label(self, lane):
        """Frames of streams that are not there."""
        kind = self.choice.choice([DATA, ACK, FIN, RESET, CANCEL])
        payload = {DATA: struct.pack(">Q", 0) + b"evil\n", ACK: struct.pack(">QI", 1 << 20, 1 << 20), FIN: struct.pack(">Q", 0),
                   RESET: b"\4", CANCEL: b""}[kind]
        return frame(kind, payload, self.choice.randrange(1, 1 << 17) | 1 << 20)

    def forged_advertisement(self, lane):
        """W's own advertisement, newer and with another cost, under this site's signature or none."""
        origin = self.choice.choice([self.victim, lane.neighbor])
        return frame(LSA, self.identity.lsa(origin, self.next(), [(lane.own, self.identity.site, "hostile", 0)], [(VAULT, 100)],
                                            forged=self.choice.random() < 0.5))

    kinds = [forged_origin, stolen_signer, bad_mac, other_target, replay, false_route, guessed_label, forged_advertisement]

    def garbage(self, lane):
        """What ends a lane: a frame that is too long, cut off, of no type, or any bytes."""
        choice = self.choice.randrange(5)
        if choice == 0:
            return struct.pack(">II", 0xFFFFFF00 | OPEN, 1) + os.urandom(1000)
        if choice == 1:
            return frame(OPEN, lane.open_frame(self.next(), VAULT)[8:-self.choice.randrange(1, 60)], self.number % 131072)
        if choice == 2:
            return frame(self.choice.randrange(24, 128), os.urandom(self.choice.randrange(200)), self.choice.randrange(1 << 16))
        if choice == 3:
            return frame(SUMMARY, os.urandom(self.choice.randrange(100)))
        return os.urandom(400)


def proxy_of(site):
    """The ProxyID of a running site, from its log."""
    site.log.flush()
    name = (site.path / "log").read_text().split(" proxy=")[1].split()[0]
    return name[:26].encode() + bytes.fromhex(name[27:])


def answered(lane):
    return lane.count(REFUSED)


def joined(place, identity, proxy):
    def attempt():
        with contextlib.suppress(OSError):
            lane = Lane(identity, place.link, proxy=proxy)
            if lane.join(sequence=time.time_ns()):
                return lane
            lane.close()
        return None

    return wait("the hostile site is let in again", attempt, 30)


def test_malice_by_numbers(scale):
    attempts = 1_000_000 if scale == 1 else 30_000
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"   seed {seed}, {attempts} attempts", flush=True)
    choice, m = random.Random(seed), Identity()
    vault = multiprocessing.Value("q", 0)
    with Place([m.site], clients=1) as place, socket.create_server(("127.0.5.9", 9002), backlog=1024) as listener:
        place.processes.append(start(count_connections, listener, vault))
        place.v.write("Service", "vault", "{ports: [{name: http, port: 8082, targetPort: 9002}], hosts: [127.0.5.9]}")
        lane = joined(place, m, m.proxy())
        victim = proxy_of(place.w)
        # The one that is right: it is let in, so that what follows is refused for what it is.
        # V has to believe the advertisement, and to know its server.
        for number in range(1, 100):
            lane.send(lane.open_frame(number, VAULT))
            if lane.wait(lambda: lane.count(OPENED) + answered(lane) == number) and lane.count(OPENED):
                break
            time.sleep(0.1)
        check(lane.count(OPENED) == 1, f"an honest OPEN is answered: {lane.refused} {lane.closed}")
        lane.send(frame(CANCEL, b"", number))
        right = wait("the server has counted it", lambda: vault.value)
        honest, memory, losses = Honest(place), place.v.memory, place.losses()
        malice, done, opened, refused, own, kinds, lanes = Malice(m, victim, number, choice), 0, 1, 0, lane.own, {}, 1
        peak = memory
        while done < attempts:
            with contextlib.suppress(OSError):
                name, frames = malice.frames(lane)
                expected = answered(lane) + WAITING
                lane.send(frames)
                done += BATCH
                kinds[name] = kinds.get(name, 0) + BATCH
                if choice.random() < 0.02:
                    lane.send(malice.garbage(lane))
                    kinds["garbage"] = kinds.get("garbage", 0) + 1
                    lane.wait(lambda: False, 0.05)
                check(answered(lane) < expected + WAITING, "answers without end")
            if lane.closed is not None:
                opened += lane.count(OPENED) - (lanes == 1)
                refused += answered(lane)
                lane.close()
                lane, lanes = joined(place, m, own), lanes + 1
            peak = max(peak, place.v.memory)
            check(place.v.is_alive and place.w.is_alive, f"a proxy has ended\n{place.v.tail()}\n{place.w.tail()}")
        # All of it was read: the last OPEN has its answer.
        last = answered(lane)
        lane.send(lane.open_frame(malice.next(), VAULT, ingress=victim))
        check(lane.wait(lambda: answered(lane) > last, 30), f"V answers no more: {lane.closed}")
        refused += answered(lane)
        opened += lane.count(OPENED) - (lanes == 1)
        time.sleep(1)
        peak = max(peak, place.v.memory)
        honest.end()
        print(f"   {done} attempts on {lanes} lanes: {refused} refused with an answer, {opened - 1} opened, {vault.value - right} connections at the server; "
              f"V {memory / 1e6:.0f} -> {peak / 1e6:.0f} MB; {honest.lines} honest lines; links lost {place.losses() - losses:.0f}", flush=True)
        print(f"   {kinds}")
        lane.close()
        opens = sum(count for name, count in kinds.items() if name not in ("guessed_label", "forged_advertisement", "garbage"))
        check(refused > opens / 2, f"only {refused} of {opens} OPENs were answered: the test shows little")
        check(opened == 1 and vault.value == right, "something was accepted")
        check(place.losses() == losses, "W has lost its link")
        check(peak < 2 * max(memory, 64e6), "V's memory grew")
