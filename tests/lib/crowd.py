"""Many TLS connections at once: crowd.py PORT COUNT ROOT.

Says how many stood and what the first and the last are told; then does what its input says: "again" asks the first and the
last once more, "go" closes most and opens one more.
"""
import socket
import ssl
import sys

port, count, root = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=root)
context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)


def connect():
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    return context.wrap_socket(plain, server_hostname="localhost")


def ask(connection):
    connection.sendall(b"x\n")
    return connection.recv(100).decode().strip()


open_ones = []
for _ in range(count):
    try:
        open_ones.append(connect())
    except (ssl.SSLError, ConnectionError):
        pass
print("stood", len(open_ones), ask(open_ones[0]), ask(open_ones[-1]), flush=True)
for line in sys.stdin:
    if line.strip() == "again":
        print("again", ask(open_ones[0]), flush=True)
    elif line.strip() == "go":
        for connection in open_ones[: len(open_ones) // 2]:
            connection.close()
        print("after", ask(connect()), flush=True)
