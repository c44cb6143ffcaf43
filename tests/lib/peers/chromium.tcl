# Headless Chromium, and an HTTPS server of ours for it.
#
#   chromium::site       the server; returns the listener
#   chromium::visit      load a page of it, to the end; returns the document
#   chromium::trusting   a home whose NSS database trusts the root of the tests
#   chromium::spki       what --ignore-certificate-errors-spki-list takes

namespace eval chromium {
    variable flags {
        --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
        --disable-background-networking --disable-component-update --disable-sync
    }
    variable connections {}
    variable requests {}
    variable open 0
    variable count 0
    # A page that loads text from the server, sends it back, and tells of both.
    variable page {<!DOCTYPE html><html><head><title>nothing yet</title></head><body><p id="words">Hello from Tcl</p><script>
        function ask(how, what, body) {
            const request = new XMLHttpRequest();
            request.open(how, what, false);
            request.send(body);
            return request.responseText;
        }
        const text = ask('GET', '/data', null);
        document.title = text.length + ' there, ' + ask('POST', '/sum', text) + ' and back';
    </script></body></html>}
}

# ARGS are options of tls_socket. The connections are in chromium::connections as
# tls_info tells of them, the requests in chromium::requests.
proc chromium::site {args} {
    variable connections {}
    variable requests {}
    return [listen tls13 chromium::Accept {*}$args]
}

proc chromium::Accept {chan args} {
    variable connections
    variable open
    lappend connections [twapi::tls_info $chan]
    incr open
    fconfigure $chan -blocking 0 -translation binary
    fileevent $chan readable [list chromium::Head $chan {}]
}

proc chromium::Close {chan} {
    variable open
    close $chan
    incr open -1
}

proc chromium::Head {chan lines} {
    while {[set n [gets $chan line]] >= 0} {
        set line [string trimright $line \r]
        if {$line ne {}} {
            lappend lines $line
            continue
        }
        set length 0
        regexp -nocase {content-length: *(\d+)} $lines -> length
        fileevent $chan readable [list chromium::Body $chan [lindex $lines 0] $length]
        set ::chromium::body($chan) {}
        Body $chan [lindex $lines 0] $length
        return
    }
    if {[eof $chan]} {
        Close $chan
    } else {
        fileevent $chan readable [list chromium::Head $chan $lines]
    }
}

proc chromium::Body {chan request length} {
    variable body
    variable requests
    variable page
    append body($chan) [read $chan [expr {$length - [string length $body($chan)]}]]
    if {[string length $body($chan)] < $length} {
        if {[eof $chan]} {Close $chan}
        return
    }
    set data $body($chan)
    unset body($chan)
    lappend requests [lrange $request 0 1]
    set type text/plain
    # By a proxy there may come a whole URL.
    switch -glob -- [lindex $request 1] {
        */page {set answer $page; set type text/html}
        */data {set answer [pattern 3000000]}
        */sum  {set answer "[string length $data] [zlib crc32 $data]"}
        default {set answer nothing}
    }
    puts -nonewline $chan "HTTP/1.1 200 OK\r\nContent-Type: $type\r\nContent-Length: [string length $answer]\r\n\r\n$answer"
    flush $chan
    fileevent $chan readable [list chromium::Head $chan {}]
}

# A folder that nobody had before.
proc chromium::Folder {} {
    variable count
    set folder [file join [support::tmp] chromium[pid].[incr count]]
    file mkdir $folder
    return $folder
}

# Visit PAGE of LISTENER's; ARGS are further flags, HOME the browser's home.
proc chromium::visit {listener home args} {
    variable flags
    variable open
    set profile [Folder]
    if {$home eq {}} {set home $profile}
    set pipe [child::start env HOME=$home chromium {*}$flags --user-data-dir=$profile {*}$args \
        --dump-dom https://localhost:[port $listener]/page]
    set document [child::rest $pipe 60000]
    child::finish $pipe
    until {$chromium::open == 0}
    # Helpers of the browser may write a moment longer.
    catch {file delete -force $profile}
    return $document
}

proc chromium::trusting {} {
    set home [Folder]
    # Which of the two it takes depends on its version.
    foreach database {.pki/nssdb .local/share/pki/nssdb} {
        set folder [file join $home $database]
        file mkdir $folder
        exec certutil -d sql:$folder -N --empty-password
        exec certutil -d sql:$folder -A -t C,, -n tests -i [certs::file root.crt]
    }
    return $home
}

proc chromium::spki {name} {
    return [exec openssl x509 -in [certs::file $name.crt] -noout -pubkey | openssl pkey -pubin -outform DER \
        | openssl dgst -sha256 -binary | openssl base64]
}
