# SPDX-License-Identifier: MIT
"""The messages of live files (abi/zc_ctl.h), for tests that do what libzc does not."""
import collections
import json
import os
import socket
import struct

import zcproto

ATTACH, TRACK, COMMIT, LIST, STATUS, ROLLBACK, DETACH = 8, 9, 10, 11, 12, 13, 14
WRITABLE, PASSTHROUGH = 1, 2
Image = collections.namedtuple("Image", "id generation size capacity flags fd")


class Client(zcproto.Client):
    def attach(self, ticket, capacity=0, flags=0):
        self.send(ATTACH, ticket + struct.pack("<QII", capacity, flags, 0))
        packet, fds, _, _ = socket.recv_fds(self.socket, 1 << 17, 4)
        body = self.parse(packet)
        assert len(fds) == 1, f"{len(fds)} descriptors"
        return Image(*struct.unpack("<QQQQII", body)[:5], fds[0])

    @staticmethod
    def parse(packet):
        magic, version, got, length, status = zcproto.HEADER.unpack_from(packet)
        assert (magic, version) == (zcproto.MAGIC, 1), "a reply with a wrong header"
        body = packet[zcproto.HEADER.size:]
        assert length == len(body)
        if status:
            raise zcproto.Refused(status, json.loads(body)["error"])
        assert got == ATTACH | zcproto.REPLY
        return body

    def track(self, number, address, length, fd=None):
        body = struct.pack("<QQQ", number, address, length)
        packet = zcproto.HEADER.pack(zcproto.MAGIC, 1, TRACK, len(body), 0) + body
        socket.send_fds(self.socket, [packet], [] if fd is None else [fd])
        return struct.unpack("<II", self.receive(TRACK))[0]

    def commit_image(self, number):
        return struct.unpack("<QQ", self.ask(COMMIT, struct.pack("<Q", number)))

    def status(self, number):
        return struct.unpack("<QQQII", self.ask(STATUS, struct.pack("<Q", number)))

    def rollback(self, number):
        return self.ask(ROLLBACK, struct.pack("<Q", number))

    def detach(self, number):
        self.ask(DETACH, struct.pack("<Q", number))


def attach(path, flags, capacity=0):
    """(client, image) of the file at `path`"""
    fd = os.open(path, flags | (os.O_DIRECT | os.O_NONBLOCK if flags & os.O_RDWR else 0))
    try:
        ticket, address, _ = zcproto.ticket(fd)
        c = Client(address)
        return c, c.attach(ticket, capacity)
    finally:
        os.close(fd)
