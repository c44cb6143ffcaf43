#!/usr/bin/env tclsh
# chat-server.tcl: a chat among people whose certificates say who they are.
#
# Nobody can claim a name: each is in a certificate that the authority has signed. private-ca.tcl makes such an
# authority; chat-client.tcl is the other end. What is said are lines of text in UTF-8.
package require Tcl 8.6-
package require twapi_crypto

set usage {usage: chat-server.tcl ?options? -cert FILE -ca FILE

  -cert FILE         PEM file with the server's certificate and its key
  -ca FILE           PEM file with the authority whose clients are let in
  -address ADDRESS   where to listen; default localhost; "any" is everywhere
  -port PORT         default 8444; 0 is any that is free}

array set options {-cert "" -ca "" -address localhost -port 8444}
set longest_line 1000
# Octets that wait for somebody who does not read; beyond that the connection is given up.
set largest_backlog 100000

proc fail {message {status 1}} {
    puts stderr "chat-server: $message"
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
        }
        set options($name) $value
    }
    if {[llength $words] % 2} {fail "option [lindex $words end] needs a value" 2}
    if {$options(-cert) eq "" || $options(-ca) eq ""} {fail "-cert and -ca must be there; -help tells more" 2}
    if {![string is integer -strict $options(-port)] || $options(-port) < 0 || $options(-port) > 65535} {
        fail "there is no port \"$options(-port)\"" 2
    }
}

proc read_store {file} {
    set f [open $file rb]
    try {return [twapi::cert_temporary_store -pem [read $f]]} finally {close $f}
}

# Credentials of a server that lets in only who has a certificate from the authority.
proc credentials {} {
    global options
    set store [read_store $options(-cert)]
    set cert [twapi::cert_store_find_certificate $store has_private_key]
    if {$cert eq ""} {error "there is no certificate with its private key in \"$options(-cert)\""}
    # With a -rootstore, whatever certificate a client shows is verified against that store, and no other.
    return [twapi::sspi_acquire_credentials -package unisp -role server -credentials \
        [twapi::sspi_schannel_credentials -certificates [list $cert] -rootstore [read_store $options(-ca)]]]
}

# --- who is there -----------------------------------------------------------------------------------------------------

# The name in the certificate of the peer. Control characters could steer the terminals of the others.
proc peer_name {context} {
    set cert [twapi::sspi_remote_cert $context]
    try {
        return [regsub -all {[[:cntrl:]]} [twapi::cert_subject_name $cert -name oid_common_name] ?]
    } finally {
        twapi::cert_release $cert
    }
}

# The verifier: called when the handshake is complete, before anything is read. That the certificate is good has been
# found out; this makes sure that there is one, and that it has a name. Without one sspi_remote_cert raises an error, which
# ends the connection as well.
proc has_name {chan context} {
    return [expr {[peer_name $context] ne ""}]
}

# Of each channel: the name. Somebody may be there more than once.
array set names {}

proc accept {chan addr port} {
    global names
    set names($chan) [peer_name [chan configure $chan -context]]
    chan configure $chan -blocking 0 -encoding utf-8 -translation {auto lf} -buffering line
    catch {chan configure $chan -profile replace}
    chan event $chan readable [list hear $chan]
    note "$names($chan) comes from $addr"
    say $chan "* Welcome, $names($chan). Here [expr {[array size names] == 1 ? "is" : "are"}] [who]."
    say_others $chan "* $names($chan) comes in"
}

proc who {} {
    return [join [lsort -unique -dictionary [lmap {chan name} [array get ::names] {set name}]] ", "]
}

proc leave {chan why} {
    global names
    # Telling the others may have found this one gone already.
    if {![info exists names($chan)]} return
    set name $names($chan)
    unset names($chan)
    catch {close $chan}
    note "$name goes: $why"
    say_others "" "* $name goes"
}

# --- what is said -----------------------------------------------------------------------------------------------------

proc hear {chan} {
    global names longest_line
    if {[catch {chan gets $chan line} length]} {
        leave $chan $length
    } elseif {$length < 0} {
        if {[chan eof $chan]} {
            leave $chan "the end"
        } elseif {[chan pending input $chan] > 4 * $longest_line} {
            leave $chan "an endless line"
        }
    } else {
        set line [string range [regsub -all {[[:cntrl:]]} $line ?] 0 [expr {$longest_line - 1}]]
        switch -- $line {
            ""      return
            /who    {say $chan "* Here [expr {[array size names] == 1 ? "is" : "are"}] [who]."}
            default {say_others $chan "$names($chan): $line"}
        }
    }
}

proc say_others {chan text} {
    foreach other [array names ::names] {
        if {$other ne $chan} {say $other $text}
    }
}

proc say {chan text} {
    # One of the others may be gone by now, and so not be told of it.
    if {![info exists ::names($chan)]} return
    if {[catch {puts $chan $text} message]} {
        after 0 [list leave $chan $message]
    } elseif {[chan pending output $chan] > $::largest_backlog} {
        after 0 [list leave $chan "does not read"]
    }
}

proc note {text} {
    puts "[clock format [clock seconds] -format %H:%M:%S] $text"
}

# Somebody who was not let in, above all.
proc background_error {message details} {
    if {[lindex [dict get $details -errorcode] 0] in {TWAPI TWAPI_WIN32 POSIX}} {
        note "not let in: $message"
    } else {
        puts stderr [dict get $details -errorinfo]
    }
}

interp bgerror {} background_error
chan configure stdout -encoding utf-8 -buffering line
parse_options $argv
try {
    set place [expr {$options(-address) eq "any" ? "" : [list -myaddr $options(-address)]}]
    set listener [twapi::tls_socket -server accept {*}$place -credentials [credentials] -requestclientcert \
        -verifier has_name $options(-port)]
} on error {message} {
    fail $message
}
puts "listening on port [lindex [chan configure $listener -sockname] 2]"
vwait forever
