#!/usr/bin/env python3
"""Clients that measure: one JSON object at the end.

    client.py ask --to HOST:PORT --rate R --seconds S [--timeout T]     new connections: connect, `name`, the answer, close
    client.py hold --to HOST:PORT --count N                             idle connections: how each ended and when; until input ends
    client.py echo --to HOST:PORT --count N --seconds S --pause MS      requests on open connections: latencies, pauses, ends

Moments are seconds of CLOCK_MONOTONIC, which all processes of the machine share.
"""
import argparse
import asyncio
import collections
import contextlib
import json
import sys
import time


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else None


def kind(error):
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError):
        return "reset"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "timeout"
    return "end" if isinstance(error, asyncio.IncompleteReadError) else type(error).__name__


async def input_end(stop):
    """Sets `stop` when standard input has ended."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    stop.set()


async def ask(options, stop):
    taken, failures, servers = [], [], collections.Counter()

    async def one():
        began = time.monotonic()
        try:
            async with asyncio.timeout(options.timeout):
                reader, writer = await asyncio.open_connection(*options.to)
                try:
                    writer.write(b"name\n")
                    name = await reader.readuntil(b"\n")
                finally:
                    writer.close()
            taken.append((began, time.monotonic() - began))
            servers[name.decode().strip()] += 1
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            failures.append((began, kind(error)))

    begin, running, count = time.monotonic(), set(), 0
    while time.monotonic() - begin < options.seconds and not stop.is_set():
        await asyncio.sleep(max(0, begin + count / options.rate - time.monotonic()))
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
        count += 1
    if running:
        await asyncio.wait(running)
    times = [seconds for _, seconds in taken]
    return {"begin": begin, "asked": count, "failed": len(failures), "servers": servers,
            "failures": failures[:200], "lastFailure": max((at for at, _ in failures), default=None),
            "p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "slowest": max(times, default=None),
            "slow": [(at, seconds) for at, seconds in taken if seconds > 1][:200]}


async def hold(options, stop):
    endings = []

    async def one():
        reader, writer = await asyncio.open_connection(*options.to)
        writer.write(b"echo\nhello\n")
        await reader.readexactly(6)
        opened.append(writer)

        async def watch():
            try:
                data = await reader.read(1)
                endings.append((time.monotonic(), "data" if data else "end"))
            except OSError as error:
                endings.append((time.monotonic(), kind(error)))

        watchers.append(asyncio.create_task(watch()))

    opened, watchers = [], []
    for _ in range(options.count):
        await one()
    print(json.dumps({"open": len(opened)}), flush=True)
    await stop.wait()
    return {"open": len(opened) - len(endings), "endings": endings}


async def echo(options, stop):
    taken, pauses, endings, messages = [], [], collections.Counter(), 0

    async def one():
        nonlocal messages
        longest = 0.0
        try:
            reader, writer = await asyncio.open_connection(*options.to)
            writer.write(b"echo\n")
            while time.monotonic() - begin < options.seconds and not stop.is_set():
                began = time.monotonic()
                message = messages.to_bytes(8, "big") * 8
                messages += 1
                writer.write(message)
                async with asyncio.timeout(60):
                    answer = await reader.readexactly(64)
                if answer != message:
                    endings["corrupted"] += 1
                    break
                seconds = time.monotonic() - began
                taken.append(seconds)
                longest = max(longest, seconds)
                await asyncio.sleep(options.pause / 1000)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            endings[kind(error)] += 1
        pauses.append(longest)

    begin = time.monotonic()
    clients = [asyncio.create_task(one()) for _ in range(options.count)]
    await asyncio.wait(clients)
    return {"messages": len(taken), "broken": endings, "p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99),
            "longest": max(pauses)}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["ask", "hold", "echo"])
    parser.add_argument("--to", type=lambda text: (text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1])), required=True)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--pause", type=float, default=50)
    options = parser.parse_args()
    stop = asyncio.Event()
    watcher = asyncio.create_task(input_end(stop))
    result = await {"ask": ask, "hold": hold, "echo": echo}[options.mode](options, stop)
    watcher.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watcher
    print(json.dumps(result), flush=True)


asyncio.run(main())
