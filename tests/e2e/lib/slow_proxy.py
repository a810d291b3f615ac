#!/usr/bin/env python3
"""Stands between shale and a registry and lets uploads through slowly.

    slow_proxy.py TARGET_PORT LISTEN_PORT FILE BYTES_PER_SECOND

What a client sends beyond the first 64 KiB of a connection goes on at that rate, in whole pieces. FILE is made when a
connection has become slow: an upload is under way then.
"""
import socket
import sys
import threading
import time

TARGET, LISTEN, FILE, RATE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
FREE, PIECE = 64 << 10, 16 << 10


def end(*socks):
    for sock in socks:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def copy(source, to, slow):
    sent = 0
    try:
        while piece := source.recv(PIECE):
            to.sendall(piece)
            sent += len(piece)
            if slow and sent > FREE:
                open(FILE, "a").close()
                time.sleep(len(piece) / RATE)
    except OSError:
        pass
    end(source, to)


def main():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", LISTEN))
    listener.listen(64)
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", TARGET))
        threading.Thread(target=copy, args=(client, server, True), daemon=True).start()
        threading.Thread(target=copy, args=(server, client, False), daemon=True).start()


main()
