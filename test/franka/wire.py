# SPDX-License-Identifier: Apache-2.0
"""A cable between libfranka and a franka-sim server that loses or delays what goes over it; a process of its own.

    wire.py ADDRESS SERVER

libfranka connects to ADDRESS, and is passed on to SERVER (both at libfranka's port). Its first message names the UDP
port to which it wants the arm's states; the cable puts one of its own there. Lines on standard input, each answered by
the steady time, ns, from which it holds: `pass`; `lose states|commands N M`, the first N of every M packets;
`delay MS`, in each direction; `hold MS`, all that comes in that time, then at once; `cut`, the whole cable, TCP
too.
"""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import struct
import sys
import time

PORT = 1337
CONNECT = struct.Struct("<IIIHH")  # command (0: connect), its number, size; version of the protocol, UDP port


class Session:
    """One connection of libfranka: a TCP stream and a pair of UDP sockets, towards it and towards the server."""

    def __init__(self, client: socket.socket, address: str, server: str) -> None:
        self.client = client
        self.server = socket.create_connection((server, PORT), source_address=(address, 0))
        self.states = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # where the server sends states
        self.commands = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # where the client sends commands
        for end in (self.states, self.commands):
            end.bind((address, 0))
        self.begun = b""
        self.to_client: tuple[str, int] | None = None
        self.to_server: tuple[str, int] | None = None

    def sockets(self) -> list[socket.socket]:
        return [self.client, self.server, self.states, self.commands]

    def connected(self, data: bytes) -> bytes:
        """The client's stream, with our port in the place of its own in the first message."""
        if self.to_client is not None:
            return data
        self.begun += data
        if len(self.begun) < CONNECT.size:
            return b""
        command, number, size, version, port = CONNECT.unpack_from(self.begun)
        assert command == 0, f"expected a request to connect, got {command}"
        self.to_client = (self.client.getpeername()[0], port)
        ours = self.states.getsockname()[1]
        return CONNECT.pack(command, number, size, version, ours) + self.begun[CONNECT.size :]


class Wire:
    """Passes on what comes, as it is told."""

    def __init__(self, address: str, server: str) -> None:
        self.address, self.server = address, server
        self.listener = socket.create_server((address, PORT))
        self.sessions: list[Session] = []
        self.lost = {"states": (0, 1), "commands": (0, 1)}
        self.seen = {"states": 0, "commands": 0}
        self.delay_s, self.held_until, self.cut = 0.0, 0.0, False
        self.waiting: list[tuple[float, int, socket.socket, bytes, tuple[str, int]]] = []
        self.order = itertools.count()

    def obey(self, line: str) -> None:
        words = line.split()
        self.lost, self.delay_s, self.cut = {"states": (0, 1), "commands": (0, 1)}, 0.0, words[0] == "cut"
        if words[0] == "lose":
            self.lost[words[1]] = (int(words[2]), int(words[3]))
        elif words[0] == "delay":
            self.delay_s = float(words[1]) * 1e-3
        elif words[0] == "hold":
            self.held_until = time.monotonic() + float(words[1]) * 1e-3
        print(time.clock_gettime_ns(time.CLOCK_BOOTTIME), flush=True)

    def turn(self) -> None:
        ends = {end: session for session in self.sessions for end in session.sockets()} if not self.cut else {}
        due = self.waiting[0][0] - time.monotonic() if self.waiting else 0.1
        ready, _, _ = select.select([sys.stdin, *([] if self.cut else [self.listener]), *ends], [], [], max(0.0, due))
        for end in ready:
            if end is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    raise SystemExit
                self.obey(line)
                return
            if end is self.listener:
                self.sessions.append(Session(self.listener.accept()[0], self.address, self.server))
            elif ends[end] in self.sessions:
                self.take(ends[end], end)
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, _, end, data, to = heapq.heappop(self.waiting)
            if end.fileno() >= 0 and not self.cut:
                end.sendto(data, to)

    def take(self, session: Session, end: socket.socket) -> None:
        try:
            if end in (session.states, session.commands):
                self.datagram(session, end)
                return
            data = end.recv(65536)
            if end is session.client:
                session.server.sendall(session.connected(data))
            else:
                session.client.sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in session.sockets():
                each.close()
            self.sessions.remove(session)

    def datagram(self, session: Session, end: socket.socket) -> None:
        data, sender = end.recvfrom(65536)
        if end is session.states:
            kind, session.to_server = "states", sender
            out, to = session.commands, session.to_client
        else:
            kind, out, to = "commands", session.states, session.to_server
        self.seen[kind] += 1
        lost, of = self.lost[kind]
        if to is not None and self.seen[kind] % of >= lost:
            due = max(time.monotonic() + self.delay_s, self.held_until)
            heapq.heappush(self.waiting, (due, next(self.order), out, data, to))


def main() -> None:
    wire = Wire(sys.argv[1], sys.argv[2])
    while True:
        wire.turn()


if __name__ == "__main__":
    main()
