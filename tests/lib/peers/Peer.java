// A TLS peer made of Java's JSSE: java Peer.java server|client KEY=VALUE ...
// Options, jobs and what it prints are those of peer.js.

import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.CRC32;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SNIServerName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    private static final Map<String, String> options = new HashMap<>();

    public static void main(String[] words) throws Exception {
        for (String word : Arrays.copyOfRange(words, 1, words.length)) {
            int at = word.indexOf('=');
            options.put(word.substring(0, at), word.substring(at + 1));
        }
        if (words[0].equals("server")) {
            serve();
        } else {
            connect();
        }
    }

    private static void serve() throws Exception {
        SSLContext context = context();
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        say("port", listener.getLocalPort());
        Thread life = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (IOException error) {
                say("error", error);
            }
            System.exit(0);
        });
        life.start();
        while (true) {
            Socket raw = listener.accept();
            new Thread(() -> serve(context, raw)).start();
        }
    }

    // TCP comes first and TLS is put on it, so that TCP can be ended by itself.
    private static void serve(SSLContext context, Socket raw) {
        boolean open = false;
        try {
            SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(raw, (InputStream) null, true);
            socket.setUseClientMode(false);
            SSLParameters parameters = parameters(socket);
            parameters.setWantClientAuth(options.getOrDefault("clientauth", "").equals("want"));
            if (options.getOrDefault("clientauth", "").equals("need")) {
                parameters.setNeedClientAuth(true);
            }
            socket.setSSLParameters(parameters);
            socket.startHandshake();
            open = true;
            opened(socket);
            InputStream in = socket.getInputStream();
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            for (int next = in.read(); next != '\n' && next >= 0; next = in.read()) {
                line.write(next);
            }
            String[] job = line.toString().split(" ");
            OutputStream out = socket.getOutputStream();
            switch (job[0]) {
                case "echo":
                    in.transferTo(out);
                    break;
                case "sink":
                    out.write((tally(in) + "\n").getBytes());
                    break;
                case "give":
                    out.write(pattern(job[1]));
                    break;
                case "half":
                    out.write(pattern(job[1]));
                    socket.shutdownOutput();
                    say("rest", tally(in));
                    break;
                case "cut":
                    out.write(pattern(job[1]));
                    raw.close();
                    return;
                default:
                    throw new IOException("unknown job " + line);
            }
            socket.close();
        } catch (Exception error) {
            say(open ? "error" : "refused", error);
        }
    }

    private static void connect() throws Exception {
        Socket raw = new Socket(options.getOrDefault("connect", "127.0.0.1"), Integer.parseInt(options.get("port")));
        String name = options.getOrDefault("name", options.get("host"));
        try {
            SSLSocket socket = (SSLSocket) context().getSocketFactory().createSocket(raw, name, raw.getPort(), true);
            SSLParameters parameters = parameters(socket);
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            socket.startHandshake();
            opened(socket);
            String[] job = options.get("job").split(",");
            OutputStream out = socket.getOutputStream();
            out.write((String.join(" ", job) + "\n").getBytes());
            if (job[0].equals("cut")) {
                out.write(pattern(job[1]));
                raw.close();
                return;
            }
            Thread writer = new Thread(() -> {
                try {
                    if (job[0].equals("echo") || job[0].equals("sink")) {
                        out.write(pattern(job[1]));
                        socket.shutdownOutput();
                    }
                } catch (IOException error) {
                    say("error", error);
                }
            });
            writer.start();
            String result = job[0].equals("sink")
                ? new String(socket.getInputStream().readAllBytes()).trim()
                : tally(socket.getInputStream());
            say("result", result);
            writer.join();
            if (job[0].equals("half")) {
                out.write(pattern(job[1]));
            }
            say("end", "eof");
            socket.close();
        } catch (IOException error) {
            say("end", error);
        }
    }

    private static SSLContext context() throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        char[] password = "secret".toCharArray();
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, password);
        if (options.containsKey("cert")) {
            Certificate[] chain;
            try (InputStream file = new FileInputStream(options.get("cert"))) {
                chain = factory.generateCertificates(file).toArray(new Certificate[0]);
            }
            String pem = Files.readString(Path.of(options.get("key")));
            byte[] key = Base64.getMimeDecoder().decode(pem.replaceAll("-----[^-]*-----", ""));
            KeyFactory keys = KeyFactory.getInstance(chain[0].getPublicKey().getAlgorithm());
            own.setKeyEntry("own", keys.generatePrivate(new PKCS8EncodedKeySpec(key)), password, chain);
        }
        KeyManagerFactory keyManagers = KeyManagerFactory.getInstance("PKIX");
        keyManagers.init(own, password);
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, password);
        if (options.containsKey("ca")) {
            try (InputStream file = new FileInputStream(options.get("ca"))) {
                roots.setCertificateEntry("root", factory.generateCertificate(file));
            }
        }
        TrustManagerFactory trustManagers = TrustManagerFactory.getInstance("PKIX");
        trustManagers.init(options.containsKey("ca") ? roots : null);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keyManagers.getKeyManagers(), trustManagers.getTrustManagers(), null);
        return context;
    }

    private static SSLParameters parameters(SSLSocket socket) {
        SSLParameters parameters = socket.getSSLParameters();
        if (!options.getOrDefault("protocol", "").isEmpty()) {
            parameters.setProtocols(new String[] {options.get("protocol")});
        }
        if (options.containsKey("alpn")) {
            parameters.setApplicationProtocols(options.get("alpn").split(","));
        }
        return parameters;
    }

    private static void opened(SSLSocket socket) {
        ExtendedSSLSession session = (ExtendedSSLSession) socket.getSession();
        String sni = "-";
        for (SNIServerName name : session.getRequestedServerNames()) {
            sni = ((SNIHostName) name).getAsciiName();
        }
        String peer = "-";
        try {
            peer = ((X509Certificate) session.getPeerCertificates()[0]).getSubjectX500Principal().getName();
            peer = peer.replaceAll("CN=([^,]*).*", "$1");
        } catch (SSLPeerUnverifiedException none) {
            // It sent none: that is what "-" says.
        }
        String alpn = socket.getApplicationProtocol().isEmpty() ? "-" : socket.getApplicationProtocol();
        say("open", String.format("protocol {%s} cipher {%s} sni {%s} alpn {%s} peer {%s}",
            session.getProtocol(), session.getCipherSuite(), sni, alpn, peer));
    }

    private static byte[] pattern(String size) {
        StringBuilder block = new StringBuilder();
        for (int i = 0; i < 1000; i++) {
            block.append(String.format("%07d/1\n", i));
        }
        int bytes = Integer.parseInt(size);
        return Arrays.copyOf(block.toString().repeat(bytes / block.length() + 1).getBytes(), bytes);
    }

    private static String tally(InputStream in) throws IOException {
        CRC32 crc = new CRC32();
        long bytes = 0;
        byte[] buffer = new byte[65536];
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
            crc.update(buffer, 0, n);
            bytes += n;
        }
        return bytes + " " + crc.getValue();
    }

    private static synchronized void say(String word, Object text) {
        System.out.println(word + " " + text);
        System.out.flush();
    }
}
