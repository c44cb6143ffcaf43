#!/usr/bin/env tclsh
# chat-client.tcl: talk with the others at a chat-server.tcl. Who you are is in your certificate.
package require Tcl 8.6-
package require twapi_crypto

set usage {usage: chat-client.tcl -cert FILE -ca FILE HOST ?PORT?

  -cert FILE         PEM file with your certificate and its key
  -ca FILE           PEM file with the authority that the server's certificate must be from

Each line that you type is said to the others. /who asks who is there; the end of input (Ctrl-D) leaves.}

array set options {-cert "" -ca ""}

proc fail {message {status 1}} {
    puts stderr "chat-client: $message"
    exit $status
}

proc parse_options {words} {
    global options usage
    while {[string match -?* [lindex $words 0]]} {
        set words [lassign $words name]
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {![info exists options($name)]} {
            fail "there is no option $name; -help tells which there are" 2
        } elseif {![llength $words]} {
            fail "option $name needs a value" 2
        }
        set words [lassign $words options($name)]
    }
    if {[llength $words] ni {1 2}} {fail "which server?\n$usage" 2}
    if {$options(-cert) eq "" || $options(-ca) eq ""} {fail "-cert and -ca must be there; -help tells more" 2}
    return $words
}

proc credentials {file} {
    set f [open $file rb]
    try {set store [twapi::cert_temporary_store -pem [read $f]]} finally {close $f}
    set cert [twapi::cert_store_find_certificate $store has_private_key]
    if {$cert eq ""} {error "there is no certificate with its private key in \"$file\""}
    return [twapi::sspi_acquire_credentials -package unisp -role client -credentials \
        [twapi::sspi_schannel_credentials -certificates [list $cert]]]
}

proc typed {chan} {
    if {[chan gets stdin line] >= 0} {
        if {[catch {puts $chan $line} message]} {fail $message}
    } elseif {[chan eof stdin]} {
        chan event stdin readable {}
        # Nothing more from this side. What the others still say is shown until the server ends too.
        if {[catch {close $chan write} message]} {fail $message}
    }
}

proc heard {chan} {
    # In TLS 1.3 a client is done before the server has judged its certificate, so a refusal shows here.
    if {[catch {chan gets $chan line} length]} {
        fail $length
    } elseif {$length >= 0} {
        puts [regsub -all {[[:cntrl:]]} $line ?]
    } elseif {[chan eof $chan]} {
        # Else somebody has cut the connection.
        set ended [dict get [twapi::tls_info $chan] closenotify]
        close $chan
        if {!$ended} {fail "the connection was cut"}
        exit
    }
}

lassign [parse_options $argv] host port
if {$port eq ""} {set port 8444}
if {![file readable $options(-ca)]} {fail "\"$options(-ca)\" cannot be read" 2}
# The authority is trusted, and nobody else.
set env(SSL_CERT_FILE) $options(-ca)
unset -nocomplain env(SSL_CERT_DIR)
try {
    set chan [twapi::tls_socket -credentials [credentials $options(-cert)] $host $port]
} on error {message} {
    fail $message
}
chan configure stdout -encoding utf-8 -buffering line
chan configure $chan -blocking 0 -encoding utf-8 -translation {auto lf} -buffering line
chan configure stdin -blocking 0 -encoding utf-8
chan event $chan readable [list heard $chan]
chan event stdin readable [list typed $chan]
vwait forever
