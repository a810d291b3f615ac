"""An HTTP proxy for CONNECT: wherever it is asked to go, it goes to that port of this machine. Prints its own port;
what it was asked goes to the file it is given."""

import http.server
import selectors
import socket
import socketserver
import sys


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_CONNECT(self):
        with open(sys.argv[1], "a") as log:
            log.write(f"CONNECT {self.path}\n{self.headers}")
        with socket.create_connection(("127.0.0.1", int(self.path.rsplit(":", 1)[1]))) as there:
            self.send_response(200)
            self.end_headers()
            self.pass_on(self.connection, there)
        self.close_connection = True

    def pass_on(self, here, there):
        other = {here: there, there: here}
        with selectors.DefaultSelector() as both:
            for one in other:
                both.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in both.select():
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    other[key.fileobj].sendall(data)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


with Server(("127.0.0.1", 0), Proxy) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
