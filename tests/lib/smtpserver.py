# A mail server, aiosmtpd, for the tests: smtpserver.py KIND CHAIN KEY
#
# KIND is starttls, tls (from the beginning), plain (no TLS at all) or seven (starttls, without 8BITMIME). Prints
# "port N", then each message in one line of JSON. Users are ada, whose password is "secret", and nobody else.
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if kind == "seven":
            responses = [line for line in responses if "8BITMIME" not in line]
        return responses

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.original_content.decode(),
            "tls": session.ssl is not None,
            "user": session.auth_data,
        }), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"ada", b"secret")
    return AuthResult(success=good, handled=good, auth_data=data.login.decode() if good else None)


async def main():
    context = None
    if kind != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    options = {"hostname": "mail.example", "authenticator": authenticate, "loop": asyncio.get_running_loop()}
    if kind in ("starttls", "seven"):
        options.update(tls_context=context, require_starttls=True)
    else:
        # aiosmtpd does not see the TLS that was there before it
        options.update(auth_require_tls=False)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Handler(), **options), "127.0.0.1", 0, ssl=context if kind == "tls" else None)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


kind = sys.argv[1]
asyncio.run(main())
