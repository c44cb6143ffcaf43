# Security contexts that a script drives: over two strings, or over a channel by the event loop.
#
# Contexts made by by::client and by::server are deleted by by::delete, which is the -cleanup of their tests.

namespace eval by {
    variable made {}
}

# A client's and a server's context; ARGS are options. They are deleted when the test is over.
proc by::client {credentials args} {
    lappend ::by::made [set ctx [twapi::sspi_client_context $credentials {*}$args]]
    return $ctx
}
proc by::server {credentials received args} {
    lappend ::by::made [set ctx [twapi::sspi_server_context $credentials $received {*}$args]]
    return $ctx
}
proc by::delete {} {
    foreach ctx $::by::made {catch {twapi::sspi_delete_context $ctx}}
    set ::by::made {}
}

# Runs the handshake of two contexts over two strings, CHUNK bytes at a time; returns what is left over at the client and
# at the server.
proc by::handshake {c s {chunk 1000000}} {
    lassign {continue continue} status($c) status($s)
    lassign {} in($c) in($s) left($c) left($s)
    lassign [twapi::sspi_step $c] status($c) in($s) left($c)
    for {set round 0} {$round < 100000} {incr round} {
        if {$status($c) eq "done" && $status($s) eq "done"} {return [list $left($c)$in($c) $left($s)$in($s)]}
        foreach {me you} [list $s $c $c $s] {
            if {$status($me) ne "continue"} continue
            set now [string range $in($me) 0 $chunk-1]
            set in($me) [string range $in($me) $chunk end]
            if {$now eq {}} continue
            lassign [twapi::sspi_step $me $now] status($me) send left($me)
            append in($you) $send
        }
    }
    error "the handshake never ends: $status($c), $status($s)"
}

# Open contexts of TLS VERSION (1.2, 1.3): {client server}. CERTIFICATE is the server's.
proc by::pair {version {certificate server} {chunk 1000000}} {
    set c [client [credentials {} client -protocols tls$version] -target localhost]
    set s [server [credentials $certificate] {}]
    # A server may have more to say than its handshake, but no data.
    foreach ctx [list $c $s] left [handshake $c $s $chunk] {
        if {[set decrypted [twapi::sspi_decrypt_stream $ctx $left]] ne {ok {} {}}} {error "left over: $decrypted"}
    }
    return [list $c $s]
}

# What STATUS says with its bytes for the other side decrypted: {done PLAINTEXT}.
proc by::send {from to data} {
    return [lrange [twapi::sspi_decrypt_stream $to [twapi::sspi_encrypt_stream $from $data]] 0 1]
}

# Drives a context over channel CHAN by the event loop. In $by::state($chan) and by::data($chan) stand how far it is
# (continue, open, expired, eof, {error MESSAGE CODE}), and all plaintext.
proc by::drive {ctx chan {first {}}} {
    variable state
    variable data
    fconfigure $chan -blocking 0 -translation binary -buffering none
    array set state [list $chan continue]
    array set data [list $chan {}]
    fileevent $chan readable [list by::readable $ctx $chan]
    received $ctx $chan $first
}
proc by::readable {ctx chan} {
    variable state
    set bytes [read $chan]
    set ended [eof $chan]
    received $ctx $chan $bytes
    if {$ended} {
        fileevent $chan readable {}
        if {$state($chan) in {continue open}} {set state($chan) eof}
    }
}
proc by::received {ctx chan bytes} {
    variable state
    variable data
    try {
        if {$state($chan) eq "continue"} {
            lassign [twapi::sspi_step $ctx $bytes] status send bytes
            puts -nonewline $chan $send
            if {$status eq "continue"} return
            set state($chan) [expr {$status eq "done" ? "open" : $status}]
        }
        if {$state($chan) eq "open"} {
            lassign [twapi::sspi_decrypt_stream $ctx $bytes] status plaintext
            append data($chan) $plaintext
            if {$status ne "ok"} {set state($chan) $status}
        }
    } on error {message options} {
        set state($chan) [list error $message [dict get $options -errorcode]]
        catch {puts -nonewline $chan [lindex [twapi::sspi_shutdown_context $ctx] 1]}
    }
}
proc by::state {chan} {return $::by::state($chan)}
proc by::data {chan} {return $::by::data($chan)}

# A listener whose next connection goes to ::accepted.
proc by::listener {} {
    set ::accepted {}
    return [socket -server {apply {{c args} {set ::accepted $c}}} -myaddr 127.0.0.1 0]
}
