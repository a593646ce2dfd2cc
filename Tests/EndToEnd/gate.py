"""Stands between a gateway that dials and one that accepts, and stops lanes at a chosen place until it is told to go on.

    gate.py HOST PORT REMOTE_HOST REMOTE_PORT

What passes is counted in records of TLS. It reads one request a line from standard input and answers each with one line, both JSON:

    {"do": "stop", "at": ["dialer" | "acceptor", RECORD, PART], "new": true}
        lanes that come from now on stop there: PART (0: nothing, 0.5: half) of that record of that side is passed on. What comes behind it
        waits as well; the other direction goes on. Without "new": those too that stand elsewhere go on, to that place
    {"do": "go"}
        all go on, and no other lane is stopped
    {"do": "report"}

Each answer is {"stopped": how many lanes stand at the place, "lanes": of each lane {"dialer": [bytes of a record, ..], "acceptor": [..]}}.
"""
import asyncio
import contextlib
import json
import sys

HEAD = 5  # bytes of a record's header: its type, version and length


class Gate:
    def __init__(self, remote):
        self.remote, self.lanes = remote, []
        self.place, self.first, self.stopped, self.open = None, 0, 0, asyncio.Event()

    async def accept(self, *dialer):
        number, ends = len(self.lanes), [dialer]
        self.lanes.append({"dialer": [], "acceptor": []})
        try:
            with contextlib.suppress(OSError):
                ends.append(await asyncio.open_connection(*self.remote))
                await asyncio.gather(self.relay(number, "dialer", ends[0][0], ends[1][1]), self.relay(number, "acceptor", ends[1][0], ends[0][1]))
        finally:
            for _, writer in ends:
                writer.transport.abort()

    async def relay(self, number, side, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(HEAD)
                record = head + await reader.readexactly(int.from_bytes(head[3:], "big"))
                records = self.lanes[number][side]
                records.append(len(record))
                place = [side, len(records) - 1]
                while number >= self.first and self.place and place == self.place[:2]:
                    passed = int(len(record) * self.place[2])
                    writer.write(record[:passed])
                    record = record[passed:]
                    await self.stop()
                writer.write(record)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def stop(self):
        self.stopped += 1
        await self.open.wait()

    def answer(self, do, at=None, new=False):
        if new:
            self.first = len(self.lanes)
        if do != "report":
            self.place, self.stopped = at, 0
            self.open.set()
            self.open = asyncio.Event()
        return {"stopped": self.stopped, "lanes": self.lanes}


async def main(host, port, *remote):
    gate = Gate(remote)
    await asyncio.start_server(gate.accept, host, int(port))
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    while line := await requests.readline():
        print(json.dumps(gate.answer(**json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
