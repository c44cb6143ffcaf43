#!/usr/bin/env tclsh
# proxy-get.tcl: fetch an https address through a proxy that is itself reached by TLS: TLS inside TLS.
#
# The outer TLS channel hides from the network where the way leads; the inner one hides from the proxy what is said
# there. starttls takes the outer channel as it takes any other.
package require Tcl 8.6-
package require http
package require twapi_crypto

set usage {usage: proxy-get.tcl ?options? -proxy HOST:PORT URL

  -proxy HOST:PORT   the proxy
  -proxyca FILE      trust the certificates in this PEM file for the proxy, instead of the system's
  -ca FILE           the same for the server behind it
  -v                 tell about both connections}

array set options {-proxy "" -proxyca "" -ca "" -v 0}

proc fail {message {status 1}} {
    puts stderr "proxy-get: $message"
    exit $status
}

proc parse_options {words} {
    global options usage
    while {[string match -?* [lindex $words 0]]} {
        set words [lassign $words name]
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {$name eq "-v"} {
            set options(-v) 1
        } elseif {![info exists options($name)]} {
            fail "there is no option $name; -help tells which there are" 2
        } elseif {![llength $words]} {
            fail "option $name needs a value" 2
        } else {
            set words [lassign $words options($name)]
        }
    }
    if {[llength $words] != 1 || ![string match -nocase https://* [lindex $words 0]]} {fail "which https URL?\n$usage" 2}
    foreach name {-ca -proxyca} {
        if {$options($name) ne "" && ![file readable $options($name)]} {fail "\"$options($name)\" cannot be read" 2}
    }
    return [lindex $words 0]
}

# HOST:PORT, with the host in brackets where it is an IPv6 address.
proc split_place {place} {
    if {![regexp {^\[?([^\]/]+)\]?:(\d+)$} $place -> host port]} {fail "this is not of the form HOST:PORT: $place" 2}
    return [list $host $port]
}

# Whom to trust for what connects next: the system's roots, or instead those in FILE.
set system_roots [array get env SSL_CERT_*]
proc trust {file} {
    global env system_roots
    array unset env SSL_CERT_*
    if {$file eq ""} {array set env $system_roots} else {set env(SSL_CERT_FILE) $file}
}

# A channel to HOST and PORT with TLS, through a channel to the proxy with TLS.
proc connect {host port} {
    global options
    trust $options(-proxyca)
    set outer [twapi::tls_socket {*}[split_place $options(-proxy)]]
    if {$options(-v)} {describe proxy $outer}
    set place [expr {[string match *:* $host] ? "\[$host\]:$port" : "$host:$port"}]
    chan configure $outer -translation crlf
    puts $outer "CONNECT $place HTTP/1.1\nHost: $place\n"
    chan flush $outer
    if {[chan gets $outer line] < 0} {error "the proxy has ended the connection"}
    if {![regexp {^HTTP/1\.[01] (\d\d\d)} $line -> code]} {error "the proxy does not speak HTTP"}
    if {$code < 200 || $code > 299} {error "the proxy says: $line"}
    while {[chan gets $outer line] > 0} {}
    if {[chan eof $outer]} {error "the proxy has ended the connection"}
    # From here on the proxy passes on what comes.
    trust $options(-ca)
    set inner [twapi::starttls $outer -peersubject $host]
    if {$options(-v)} {describe server $inner}
    return $inner
}

proc describe {what chan} {
    set info [twapi::tls_info $chan]
    set cert [twapi::sspi_remote_cert [chan configure $chan -context]]
    puts stderr "$what: [twapi::cert_subject_name $cert]; [dict get $info protocol], [dict get $info cipher], [dict get $info group]"
    twapi::cert_release $cert
}

# What the http package calls, with host and port as the last of the words.
proc http_connect {args} {
    try {
        return [connect {*}[lrange $args end-1 end]]
    } on error {message} {
        fail $message
    }
}

set url [parse_options $argv]
if {$options(-proxy) eq ""} {fail "which -proxy?\n$usage" 2}
split_place $options(-proxy)
http::register https 443 http_connect
try {
    set token [http::geturl $url -binary 1 -timeout 60000]
} on error {message} {
    fail $message
}
if {[http::status $token] ne "ok"} {fail "the connection failed: [http::status $token] [lindex [http::error $token] 0]"}
if {[http::ncode $token] != 200} {fail "the server says: [http::code $token]"}
chan configure stdout -translation binary
if {[catch {puts -nonewline [http::data $token]; flush stdout} message]} {fail $message}
exit
