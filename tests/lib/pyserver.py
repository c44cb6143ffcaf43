"""A server with Python's ssl: pyserver.py VERSION CHAIN KEY.

Prints "port N". A client sends a number in a line, and gets so many bytes;
then the session is ended in order.
"""

import socket
import ssl
import sys

version, chain, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
context.minimum_version = context.maximum_version = wanted
context.load_cert_chain(chain, key)
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
while True:
    plain, _ = listener.accept()
    tls = context.wrap_socket(plain, server_side=True)
    line = b""
    while not line.endswith(b"\n"):
        line += tls.recv(100)
    count = int(line)
    tls.sendall((b"0123456789" * (count // 10 + 1))[:count])
    try:
        tls.unwrap().close()
    except (ssl.SSLError, OSError):
        tls.close()
