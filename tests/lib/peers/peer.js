// A TLS peer made of Node's tls module: node peer.js server|client KEY=VALUE ...
//
//   cert, key   PEM files: own certificate with its chain, and its key
//   ca          PEM file of trusted roots
//   protocol    TLSv1.2 or TLSv1.3; empty: both
//   alpn        names, with commas between
//   clientauth  none, want, need (server)
//   port, host  where to (client); host is also the name to verify
//   name        the name to ask for and to verify, if not host (client)
//   job         what to do: a job and its arguments, with commas between (client)
//
// A server prints "port N", and each connection one line "open ...". It obeys
// the first line that it receives:
//
//   echo        send back what comes, to the end
//   sink        count what comes to the end, then answer "BYTES CRC32"
//   give N      send N bytes of pattern, and end
//   half N      the same, then read on to the end and print "rest BYTES CRC32"
//   cut N       the same as give, but end TCP alone
//
// A client sends its job so and is the other end of it (half: it answers with
// as much; cut: it is the one that sends and cuts), and prints "result ..." for
// what came, then "end eof" or "end ERROR".
'use strict';
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const role = process.argv[2];
const options = Object.fromEntries(process.argv.slice(3).map((word) => {
    const at = word.indexOf('=');
    return [word.slice(0, at), word.slice(at + 1)];
}));

// The same bytes as the suites' own "pattern".
function pattern(size) {
    let block = '';
    for (let i = 0; i < 1000; i++) block += String(i).padStart(7, '0') + '/1\n';
    return Buffer.from(block.repeat(size / block.length + 1)).subarray(0, size);
}

const table = new Uint32Array(256).map((_, i) => {
    for (let bit = 0; bit < 8; bit++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
    return i;
});

class Tally {
    bytes = 0;
    crc = 0xffffffff;
    add(data) {
        this.bytes += data.length;
        for (const byte of data) this.crc = (this.crc >>> 8) ^ table[(this.crc ^ byte) & 255];
    }
    toString() {
        return `${this.bytes} ${(this.crc ^ 0xffffffff) >>> 0}`;
    }
}

function common() {
    const settings = {allowHalfOpen: true};
    if (options.cert) {
        settings.cert = fs.readFileSync(options.cert);
        settings.key = fs.readFileSync(options.key);
    }
    if (options.ca) settings.ca = fs.readFileSync(options.ca);
    if (options.protocol) settings.minVersion = settings.maxVersion = options.protocol;
    if (options.alpn) settings.ALPNProtocols = options.alpn.split(',');
    return settings;
}

function say(word, text) {
    console.log(`${word} ${text}`);
}

function opened(socket) {
    const peer = socket.getPeerCertificate();
    const facts = {
        protocol: socket.getProtocol(),
        cipher: socket.getCipher().standardName,
        sni: socket.servername || '-',
        alpn: socket.alpnProtocol || '-',
        peer: (peer && peer.subject && peer.subject.CN) || '-',
        authorized: socket.authorized,
    };
    say('open', Object.entries(facts).map(([key, value]) => `${key} {${value}}`).join(' '));
}

const jobs = {
    echo(socket) {
        socket.on('data', (data) => {
            if (!socket.write(data)) {
                socket.pause();
                socket.once('drain', () => socket.resume());
            }
        });
        socket.on('end', () => socket.end());
    },
    sink(socket) {
        const tally = new Tally();
        socket.on('data', (data) => tally.add(data));
        socket.on('end', () => socket.end(`${tally}\n`));
    },
    give(socket, size) {
        socket.on('data', () => {});
        socket.end(pattern(+size));
    },
    half(socket, size) {
        const tally = new Tally();
        socket.on('data', (data) => tally.add(data));
        socket.on('end', () => say('rest', tally));
        socket.end(pattern(+size));
    },
    cut(socket, size, raw) {
        socket.on('data', () => {});
        socket.write(pattern(+size), () => raw.destroySoon());
    },
};

// TCP comes first and TLS is put on it, so that TCP can be ended by itself.
function serve() {
    const settings = {
        ...common(),
        isServer: true,
        requestCert: options.clientauth === 'want' || options.clientauth === 'need',
        rejectUnauthorized: options.clientauth === 'need',
    };
    settings.secureContext = tls.createSecureContext(settings);
    const server = tls.createServer(settings, (socket) => {
        opened(socket);
        let line = Buffer.alloc(0);
        socket.on('data', function first(data) {
            line = Buffer.concat([line, data]);
            const end = line.indexOf(10);
            if (end < 0) return;
            socket.removeListener('data', first);
            const [job, ...rest] = line.subarray(0, end).toString().split(' ');
            const more = line.subarray(end + 1);
            jobs[job](socket, ...rest, socket._parent);
            if (more.length) socket.emit('data', more);
        });
        socket.on('error', (error) => say('error', error.code));
    });
    server.on('tlsClientError', (error) => say('refused', error.code));
    const front = net.createServer({allowHalfOpen: true, pauseOnConnect: true}, (raw) => server.emit('connection', raw));
    front.listen(0, '127.0.0.1', () => say('port', front.address().port));
    process.stdin.on('end', () => process.exit(0)).resume();
}

function connect() {
    const raw = net.connect({port: +options.port, host: options.connect || '127.0.0.1', allowHalfOpen: true});
    const socket = tls.connect({...common(), socket: raw, host: options.host, servername: options.name || options.host});
    socket.on('error', (error) => {
        say('end', error.code);
        process.exit(0);
    });
    socket.on('secureConnect', () => {
        opened(socket);
        const [job, ...rest] = options.job.split(',');
        const tally = new Tally();
        let last = Buffer.alloc(0);
        socket.on('data', (data) => {
            tally.add(data);
            last = data;
        });
        socket.on('end', () => {
            say('result', job === 'sink' ? last.toString().trim() : tally);
            say('end', 'eof');
            if (!socket.writableEnded) socket.end(job === 'half' ? pattern(+rest[0]) : '');
        });
        socket.write(`${options.job.replaceAll(',', ' ')}\n`);
        if (job === 'echo' || job === 'sink') socket.end(pattern(+rest[0]));
        if (job === 'cut') socket.write(pattern(+rest[0]), () => raw.destroySoon());
    });
}

if (role === 'server') serve();
else connect();
