# SPDX-License-Identifier: MIT
"""Tickets (abi/zc_ioctl.h) and the control socket (abi/zc_ctl.h), as a client program sees them."""
import errno
import fcntl
import json
import os
import socket
import struct

IOC_TICKET = 0x8000_0000 | 128 << 16 | ord("Z") << 8 | 0x43
HEADER = struct.Struct("<IHHII")
MAGIC, REPLY = 0x4354435A, 0x8000
PING, INFO, COMMIT, BEGIN, END = 1, 2, 3, 4, 5


class Refused(OSError):
    pass


def ticket(fd):
    """(ticket, path of the socket, writable)"""
    answer = fcntl.ioctl(fd, IOC_TICKET, bytes(128))
    return answer[:16], answer[16:124].rstrip(b"\0").decode(), answer[124]


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(200)
        self.socket.connect(path)

    def send(self, kind, body=b""):
        self.socket.send(HEADER.pack(MAGIC, 1, kind, len(body), 0) + body)

    def receive(self, kind):
        packet = self.socket.recv(1 << 17)
        if not packet:
            raise ConnectionResetError(errno.ECONNRESET, "the daemon has hung up")
        magic, version, got, length, status = HEADER.unpack_from(packet)
        # (Type 0: the connection is refused, whatever was asked.)
        assert (magic, version) == (MAGIC, 1), "a reply with a wrong header"
        assert got == kind | REPLY or (got == REPLY and status), "a reply of a wrong type"
        assert length == len(packet) - HEADER.size, "a reply with a wrong length"
        body = packet[HEADER.size:]
        if status:
            raise Refused(status, json.loads(body)["error"])
        return body

    def ask(self, kind, body=b""):
        self.send(kind, body)
        return self.receive(kind)

    def commit(self, *tickets):
        assert self.ask(COMMIT, struct.pack("<II", len(tickets), 0) + b"".join(tickets)) == b""

    def begin(self, one):
        """(id, size, mtime in ns)"""
        number, size, seconds, ns, zero = struct.unpack("<QQqII", self.ask(BEGIN, one))
        assert zero == 0
        return number, size, seconds * 10**9 + ns

    def end(self, number):
        assert self.ask(END, struct.pack("<Q", number)) == b""

    def close(self):
        self.socket.close()


def client(fd):
    """A ticket and a client that is connected to where it may be shown."""
    one, path, _ = ticket(fd)
    return one, Client(path)


def refused(error, function, *args):
    try:
        function(*args)
    except OSError as e:
        assert e.errno == error, f"{e} instead of {os.strerror(error)}"
        return str(e)
    raise AssertionError(f"no {os.strerror(error)} of {function}")
