"""A peer that resets TCP connections: it closes them with SO_LINGER 0.

    resetter.py accept BYTES       accept connections, reset each when it has sent BYTES
    resetter.py connect PORT       connect, say nothing, reset
    resetter.py relay PORT         pass connections on to PORT; at a line "reset" on stdin
                                   reset both ends of all
What listens prints "port N"; "connect" prints "done".
"""

import socket
import struct
import sys
import threading


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    print("port", listener.getsockname()[1], flush=True)
    return listener


def accept(count):
    listener = listen()
    while True:
        connection, _ = listener.accept()
        while count > 0 and (data := connection.recv(count)):
            count -= len(data)
        reset(connection)


def connect(port):
    reset(socket.create_connection(("127.0.0.1", port)))
    print("done", flush=True)


def relay(port):
    listener = listen()
    ends = []

    def accepting():
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            ends.extend([client, server])
            threading.Thread(target=copy, args=(client, server), daemon=True).start()
            threading.Thread(target=copy, args=(server, client), daemon=True).start()

    # Sockets time out often, for close() alone does not end a recv in another thread.
    def copy(source, target):
        try:
            source.settimeout(0.05)
            while True:
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
        except OSError:
            return

    threading.Thread(target=accepting, daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "reset":
            for end in ends:
                reset(end)
            ends.clear()
            print("reset", flush=True)


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    {"accept": accept, "connect": connect, "relay": relay}[what](*map(int, arguments))
