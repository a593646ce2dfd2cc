"""D1: a path that is slow, and nobody malicious."""
import contextlib
import socket
import time

from place import Place, check, slow_path, start

RELAY = "127.0.5.3"


@contextlib.contextmanager
def relay(bits_per_second):
    with socket.create_server((RELAY, 5671), backlog=64) as listener:
        process = start(slow_path, listener, ("127.0.5.1", 5671), bits_per_second / 8)
    try:
        yield
    finally:
        process.kill()
        process.join()


def fetch(address, count):
    """Seconds that `count` bytes took, from behind the slow path; fails when the stream ends before."""
    began, got = time.monotonic(), 0
    with socket.create_connection(address, 10) as client:
        client.settimeout(20)
        client.sendall(f"bulk {count}\n".encode())
        while got < count:
            data = client.recv(65536)
            check(data, f"the end after {got} of {count} bytes")
            got += len(data)
    return time.monotonic() - began


def test_d1_a_bulk_transfer_over_a_slow_path(scale):
    size = 1 << 20 if scale == 1 else 384 << 10
    for rate in (400_000, 700_000) if scale == 1 else (700_000,):
        with relay(rate), Place([], clients=0, via=RELAY) as place:
            losses = place.losses()
            taken = fetch((place.w.address, 8080), size)
            print(f"   {rate // 1000} kbit/s: {size >> 10} KiB in {taken:.1f} s, {size * 8 / taken / rate:.0%} of the path, "
                  f"link lost {place.losses() - losses:.0f} times", flush=True)
            check(place.losses() == losses, "the link was lost")
            check(size * 8 / taken > 0.6 * rate, "the path was not used")
