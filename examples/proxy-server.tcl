#!/usr/bin/env tclsh
# proxy-server.tcl: a proxy that is reached by TLS and knows one thing, CONNECT (RFC 9110, 9.3.6): it passes on what it
# cannot read. A proxy to try proxy-get.tcl with.
package require Tcl 8.6-
package require twapi_crypto

set usage {usage: proxy-server.tcl ?options? -cert FILE

  -cert FILE         PEM file with the certificate, its intermediates and its private key
  -allow PATTERN     which HOST:PORT may be reached, such as *.example.org:443; more than once for more; default *:443
  -address ADDRESS   where to listen; default localhost; "any" is everywhere
  -port PORT         default 8445; 0 is any that is free}

array set options {-cert "" -allow {} -address localhost -port 8445}
set patience 30000

proc fail {message {status 1}} {
    puts stderr "proxy-server: $message"
    exit $status
}

proc parse_options {words} {
    global options usage
    foreach {name value} $words {
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {![info exists options($name)]} {
            fail "there is no option $name; -help tells which there are" 2
        } elseif {$name eq "-allow"} {
            lappend options(-allow) $value
        } else {
            set options($name) $value
        }
    }
    if {[llength $words] % 2} {fail "option [lindex $words end] needs a value" 2}
    if {$options(-cert) eq ""} {fail "-cert must be there; -help tells more" 2}
    if {![string is integer -strict $options(-port)] || $options(-port) < 0 || $options(-port) > 65535} {
        fail "there is no port \"$options(-port)\"" 2
    }
    if {$options(-allow) eq ""} {set options(-allow) *:443}
}

proc credentials {file} {
    set f [open $file rb]
    try {set store [twapi::cert_temporary_store -pem [read $f]]} finally {close $f}
    set cert [twapi::cert_store_find_certificate $store has_private_key]
    if {$cert eq ""} {error "there is no certificate with its private key in \"$file\""}
    return [twapi::sspi_acquire_credentials -package unisp -role server -credentials \
        [twapi::sspi_schannel_credentials -certificates [list $cert]]]
}

# --- a connection: its request, then its way there --------------------------------------------------------------------

proc accept {chan addr port} {
    # Nothing is read beyond the request, for what follows is not for this proxy: so octet by octet, in small buffers.
    chan configure $chan -blocking 0 -translation binary
    set timer [after $::patience [list give_up $chan "too slow"]]
    chan event $chan readable [list request $chan $timer]
}

proc give_up {args} {
    foreach chan [lrange $args 0 end-1] {catch {close $chan}}
    puts "given up: [lindex $args end]"
}

array set heads {}

proc request {chan timer} {
    global heads
    if {[catch {chan gets $chan line} length] || ($length < 0 && [chan eof $chan])} {
        after cancel $timer
        unset -nocomplain heads($chan)
        catch {close $chan}
        return
    }
    if {$length < 0} {
        if {[chan pending input $chan] > 8192} {refuse $chan $timer "431 Request Header Fields Too Large"}
        return
    }
    set line [string trimright $line \r]
    lappend heads($chan) $line
    if {$line ne ""} {
        if {[llength $heads($chan)] > 100} {refuse $chan $timer "431 Request Header Fields Too Large"}
        return
    }
    if {![regexp {^CONNECT (\S+):(\d{1,5}) HTTP/1\.[01]$} [lindex $heads($chan) 0] -> host port]} {
        refuse $chan $timer "405 Method Not Allowed"
        return
    }
    # An IPv6 address comes in brackets.
    set host [string trim $host {[]}]
    if {![allowed $host:$port]} {
        refuse $chan $timer "403 Forbidden"
        return
    }
    chan event $chan readable {}
    if {[catch {socket -async $host $port} there]} {
        refuse $chan $timer "502 Bad Gateway"
        return
    }
    unset heads($chan)
    after cancel $timer
    set timer [after $::patience [list give_up $chan $there "$host:$port does not answer"]]
    chan event $there writable [list connected $chan $there $timer $host:$port]
}

proc allowed {place} {
    foreach pattern $::options(-allow) {
        if {[string match -nocase $pattern $place]} {return 1}
    }
    return 0
}

proc refuse {chan timer status} {
    after cancel $timer
    puts "[lindex [chan configure $chan -peername] 0] $status"
    unset -nocomplain ::heads($chan)
    catch {
        puts -nonewline $chan "HTTP/1.1 $status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        close $chan
    }
}

proc connected {chan there timer place} {
    chan event $there writable {}
    set error [chan configure $there -error]
    if {$error ne ""} {
        close $there
        refuse $chan $timer "502 Bad Gateway"
        return
    }
    after cancel $timer
    puts "[lindex [chan configure $chan -peername] 0] $place"
    chan configure $there -blocking 0 -translation binary
    if {[catch {
        puts -nonewline $chan "HTTP/1.1 200 Connection established\r\n\r\n"
        chan flush $chan
    } message]} {
        give_up $chan $there $message
        return
    }
    # Both ways at once. What lies in the buffer of the channel already is copied too.
    set ::ways($chan) 2
    chan copy $chan $there -command [list copied $chan $chan $there]
    chan copy $there $chan -command [list copied $chan $there $chan]
}

# One way has come to its end: the end is passed on. After the second, or an error, nothing is left to do.
proc copied {id from to octets {error ""}} {
    global ways
    # Closing a channel ends its other copy without another word.
    if {![info exists ways($id)]} return
    if {$error eq "" && [incr ways($id) -1] > 0 && ![catch {close $to write}]} return
    unset ways($id)
    catch {close $from}
    catch {close $to}
}

proc background_error {message details} {
    if {[lindex [dict get $details -errorcode] 0] in {TWAPI TWAPI_WIN32 POSIX}} {
        puts "not let in: $message"
    } else {
        puts stderr [dict get $details -errorinfo]
    }
}

interp bgerror {} background_error
chan configure stdout -encoding utf-8 -buffering line
parse_options $argv
try {
    set place [expr {$options(-address) eq "any" ? "" : [list -myaddr $options(-address)]}]
    set listener [twapi::tls_socket -server accept {*}$place -credentials [credentials $options(-cert)] $options(-port)]
} on error {message} {
    fail $message
}
puts "listening on port [lindex [chan configure $listener -sockname] 2]"
vwait forever
