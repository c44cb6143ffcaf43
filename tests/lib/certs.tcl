# Certificates for the suites, made by openssl once per test run.
#
#   certs::file NAME.EXT    path of a file
#   certs::text NAME.EXT    its text;   certs::bytes NAME.EXT   its bytes
#
# Every end entity NAME has NAME.crt, NAME.key, NAME.chain (certificate and
# intermediate) and NAME.pem (chain and key). What the names mean stands in
# certs::MakeAll.

namespace eval certs {
    variable dir {}
}

proc certs::file {name} {
    variable dir
    if {$dir eq {}} {Prepare}
    return [::file join $dir $name]
}

proc certs::bytes {name} {
    set f [open [file $name] rb]
    try {return [read $f]} finally {close $f}
}

proc certs::text {name} {
    return [encoding convertfrom iso8859-1 [bytes $name]]
}

# The folder is filled under another name and renamed, so that suites that
# run side by side never see half of it.
proc certs::Prepare {} {
    variable dir
    set final [::file join [support::tmp] certs]
    if {[::file exists [::file join $final complete]]
            && [clock seconds] - [::file mtime [::file join $final complete]] < 36000} {
        set dir $final
        return
    }
    set dir [::file join [support::tmp] certs.[pid]]
    ::file delete -force $dir
    ::file mkdir $dir
    try {
        MakeAll
        Write complete {}
    } on error {msg opts} {
        ::file delete -force $dir
        set dir {}
        return -options $opts "cannot make the test certificates: $msg"
    }
    catch {::file delete -force $final}
    if {[catch {::file rename $dir $final}]} {
        ::file delete -force $dir
    }
    set dir $final
}

proc certs::Write {name text} {
    variable dir
    set f [open [::file join $dir $name] wb]
    puts -nonewline $f $text
    close $f
}

proc certs::Openssl {args} {
    variable dir
    set here [pwd]
    cd $dir
    try {
        # openssl chats on stderr also when all is well
        return [exec -ignorestderr openssl {*}$args 2>@1]
    } finally {
        cd $here
    }
}

proc certs::Key {name type} {
    switch -glob -- $type {
        rsa* {
            set bits [string range $type 3 end]
            Openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:$bits -out $name.key
        }
        ed25519 {Openssl genpkey -algorithm ED25519 -out $name.key}
        default {
            Openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$type \
                -pkeyopt ec_param_enc:named_curve -out $name.key
        }
    }
}

# A certificate authority; ISSUER is empty for a root.
proc certs::Authority {name issuer} {
    Key $name P-256
    Openssl req -new -key $name.key -subj "/O=tcl-rustls tests/CN=$name" -out $name.csr
    Write $name.ext "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
    if {$issuer eq {}} {
        Openssl x509 -req -in $name.csr -signkey $name.key -extfile $name.ext -days 30 -out $name.crt
    } else {
        Openssl x509 -req -in $name.csr -CA $issuer.crt -CAkey $issuer.key -set_serial [Serial] \
            -extfile $name.ext -days 30 -out $name.crt
    }
}

proc certs::Serial {} {
    variable serial
    return [incr serial]
}

# An end entity. Keys of ARGS: key, issuer, san, usage (extended), cn, and
# from/to (YYYYMMDDHHMMSSZ).
proc certs::Leaf {name args} {
    variable dir
    set o [dict merge {key P-256 issuer inter san DNS:localhost,IP:127.0.0.1,IP:::1
        usage serverAuth cn localhost from {} to {}} $args]
    dict with o {}
    if {[::file exists [::file join $dir $key.key]]} {
        ::file copy [::file join $dir $key.key] [::file join $dir $name.key]
    } else {
        Key $name $key
    }
    Openssl req -new -key $name.key -subj "/O=tcl-rustls tests/CN=$cn" -out $name.csr
    set ext "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
    if {$usage ne {}} {append ext "extendedKeyUsage=$usage\n"}
    if {$san ne {}} {append ext "subjectAltName=$san\n"}
    if {$from ne {}} {
        # Only "openssl ca" takes dates in all versions of openssl.
        Write $name.cnf "\[ca\]\ndefault_ca=d\n\[d\]\ndatabase=$name.index\nnew_certs_dir=.\nserial=$name.serial\ndefault_md=sha256\npolicy=p\ncopy_extensions=none\nunique_subject=no\nx509_extensions=x\n\[p\]\nO=optional\nCN=optional\n\[x\]\n$ext"
        Write $name.index {}
        Write $name.serial [format %04X [Serial]]\n
        Openssl ca -batch -notext -config $name.cnf -cert $issuer.crt -keyfile $issuer.key \
            -startdate $from -enddate $to -in $name.csr -out $name.crt
    } else {
        Write $name.ext $ext
        Openssl x509 -req -in $name.csr -CA $issuer.crt -CAkey $issuer.key -set_serial [Serial] \
            -extfile $name.ext -days 20 -out $name.crt
    }
    set chain [text $name.crt]
    if {$issuer eq "inter"} {append chain [text inter.crt]}
    Write $name.chain $chain
    Write $name.pem $chain[text $name.key]
}

proc certs::MakeAll {} {
    variable serial 4096
    Authority root {}
    Authority inter root
    Authority strange {}

    Leaf server
    Leaf rsa       key rsa2048
    Leaf p384      key P-384
    Leaf p521      key P-521
    Leaf ed25519   key ed25519
    # valid, but not for localhost
    Leaf other     san DNS:other.example cn other.example
    # an address and nothing else; names by wildcard; no alternative name
    Leaf address   san IP:127.0.0.1 cn 127.0.0.1
    Leaf wildcard  san DNS:*.wild.example cn *.wild.example
    Leaf cnonly    san {}
    # outside of its time
    Leaf expired   from 20200101000000Z to 20210101000000Z
    Leaf future    from 20450101000000Z to 20480101000000Z
    # issued by a root that nobody trusts; the same for another name as well
    Leaf untrusted issuer strange
    Leaf twofaults issuer strange san DNS:other.example cn other.example
    # not for servers
    Leaf client    san email:client@tests.example usage clientAuth cn "Test Client"
    Leaf stranger  issuer strange san email:stranger@tests.example usage clientAuth cn "Test Stranger"
    Leaf wrongusage usage clientAuth

    # its own issuer
    Key selfsigned P-256
    Openssl req -new -x509 -key selfsigned.key -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -days 20 -out selfsigned.crt
    Write selfsigned.chain [text selfsigned.crt]
    Write selfsigned.pem [text selfsigned.crt][text selfsigned.key]

    # what a forgetful administrator installs: no intermediate
    Write nochain.pem [text server.crt][text server.key]

    Openssl x509 -in server.crt -outform DER -out server.der
    Openssl x509 -in root.crt -outform DER -out root.der
    # keys as older tools write them
    Openssl ec -in server.key -out server.sec1
    Openssl rsa -in rsa.key -traditional -out rsa.pkcs1
    Openssl pkcs8 -topk8 -in server.key -v2 aes-256-cbc -passout pass:secret -out server.encrypted

    foreach {pfx name options} {
        modern     server {-passout pass:secret}
        modernrsa  rsa    {-passout pass:secret}
        legacy     server {-legacy -passout pass:secret}
        legacyrsa  rsa    {-legacy -passout pass:secret}
        empty      server {-passout pass:}
    } {
        Openssl pkcs12 -export -in $name.crt -inkey $name.key -certfile inter.crt \
            -name friendly {*}$options -out $pfx.pfx
    }
    Openssl crl2pkcs7 -nocrl -certfile server.chain -outform DER -out server.p7b
}
