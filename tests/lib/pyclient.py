"""Fetch /bytes/N by Python's ssl: pyclient.py VERSION PORT CAFILE N.

Prints the protocol, the number of bytes of the body, and whether the server
ended the session in order (a missing close_notify raises).
"""

import socket
import ssl
import sys

version, port, cafile, count = sys.argv[1:]
context = ssl.create_default_context(cafile=cafile)
wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
context.minimum_version = context.maximum_version = wanted
with socket.create_connection(("localhost", int(port))) as plain:
    # The wrapped socket is asked to raise where the end is not announced.
    with context.wrap_socket(
        plain, server_hostname="localhost", suppress_ragged_eofs=False
    ) as tls:
        tls.sendall(f"GET /bytes/{count} HTTP/1.0\r\n\r\n".encode())
        data = b""
        chunks = []
        end = "orderly"
        while True:
            try:
                chunk = tls.recv(65536)
            except ssl.SSLError as error:
                end = f"ragged: {error}"
                break
            if not chunk:
                break
            chunks.append(chunk)
        data = b"".join(chunks)
        body = data.split(b"\r\n\r\n", 1)[1]
        print(tls.version(), len(body), end)
