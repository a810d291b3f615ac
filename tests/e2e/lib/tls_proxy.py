#!/usr/bin/env python3
"""TLS with client certificates in front of a Docker engine's socket: tls_proxy.py TARGET.sock DIR

DIR has ca.pem, server.pem and server-key.pem. Prints the port that it listens to on 127.0.0.1.
"""
import socket
import ssl
import sys
import threading


def pump(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(plain, context, target):
    try:
        near = context.wrap_socket(plain, server_side=True)
        far = socket.socket(socket.AF_UNIX)
        far.connect(target)
    except OSError:
        plain.close()
        return
    threading.Thread(target=pump, args=(far, near), daemon=True).start()
    pump(near, far)


def main():
    target, where = sys.argv[1:3]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where + "/server.pem", where + "/server-key.pem")
    context.load_verify_locations(where + "/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0], context, target), daemon=True).start()


main()
