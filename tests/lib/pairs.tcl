# Connected channels of every kind, and a relay between two ends of one.
#
# Kinds: plain (a socket, the control), tls13, tls12.

namespace eval link {}
namespace eval relay {
    variable state
    array set state {}
    variable captured
    array set captured {up {} down {}}
    variable transform
    array set transform {up {} down {}}
    variable chunk 0
    variable listener {}
}

proc port {listener} {
    return [lindex [fconfigure $listener -sockname] 2]
}

# A listener of KIND on a port of its own; ARGS are options of tls_socket.
proc listen {kind callback args} {
    if {$kind eq "plain"} {return [socket -server $callback {*}$args 0]}
    if {"-credentials" ni $args} {lappend args -credentials [credentials server]}
    return [twapi::tls_socket -server $callback {*}$args 0]
}

# The options by which a client of KIND connects.
proc clientoptions {kind} {
    switch $kind {
        plain - tls13 {return {}}
        tls12 {return [list -credentials [credentials {} client -protocols tls1.2]]}
    }
    error "unknown kind $kind"
}

# A client of KIND on its way to PORT of localhost (-async).
proc dial {kind port args} {
    if {$kind eq "plain"} {return [socket -async {*}$args localhost $port]}
    return [twapi::tls_socket -async {*}[clientoptions $kind] {*}$args localhost $port]
}

# A blocking client of KIND, open; its server lives in another process.
proc connect {kind port args} {
    if {$kind eq "plain"} {return [socket {*}$args localhost $port]}
    return [twapi::tls_socket {*}[clientoptions $kind] {*}$args localhost $port]
}

# One question to a jobserver and its one line of answer, by the event loop.
proc ask {kind port args} {
    set c [dial $kind $port]
    fconfigure $c -blocking 0 -translation lf
    try {
        puts $c $args
        flush $c
        fileevent $c readable [list link::Answer $c]
        return [await ::link::answer]
    } on error msg {
        return "error: $msg"
    } finally {
        close $c
    }
}

proc link::Answer {c} {
    if {[catch {gets $c line} n]} {set line "error: $n"}
    if {$line ne {} || $n >= 0 || [eof $c]} {
        fileevent $c readable {}
        set ::link::answer $line
    }
}

# Both ends of a connection within this process, open, non-blocking, binary:
# {client server}. With -via PORTCMD the client goes to [{*}PORTCMD port].
proc pair {kind args} {
    set o [dict merge {-client {} -server {} -via {}} $args]
    set ::link::accepted {}
    set listener [listen $kind {apply {{c args} {set ::link::accepted $c}}} {*}[dict get $o -server]]
    try {
        set port [port $listener]
        if {[dict get $o -via] ne {}} {set port [{*}[dict get $o -via] $port]}
        set c [dial $kind $port {*}[dict get $o -client]]
        fconfigure $c -blocking 0 -translation binary
        set ::link::c $c
        until {$::link::accepted ne {} && [link::Up $::link::c]}
    } on error {msg opts} {
        catch {close $c}
        return -options $opts "no $kind connection: $msg"
    } finally {
        close $listener
    }
    set s $::link::accepted
    fconfigure $s -blocking 0 -translation binary
    return [list $c $s]
}

proc link::Up {c} {
    if {[info commands ::twapi::tls_state] ne {} && ![catch {twapi::tls_state $c} state]} {
        if {$state eq "OPEN"} {return 1}
        set e [fconfigure $c -error]
        if {$state eq "CLOSED" || $e ne {}} {error "client is $state: $e"}
        return 0
    }
    return [expr {![fconfigure $c -connecting]}]
}

# Collect all that comes from CHAN in the global variable NAME until its end,
# then set NAME(eof); channel and variable stay.
proc collect {chan name} {
    set ::${name} {}
    unset -nocomplain ::${name}_end
    fileevent $chan readable [list link::Collect $chan $name]
}

proc link::Collect {chan name} {
    if {[catch {read $chan} data opts]} {
        fileevent $chan readable {}
        set ::${name}_end [list error $data [dict get $opts -errorcode]]
        return
    }
    append ::$name $data
    if {[eof $chan]} {
        fileevent $chan readable {}
        set ::${name}_end eof
    }
}

# --- the relay ----------------------------------------------------------------

# Listen on a port and pass each connection on to PORT; returns the port.
# -chunk N: at most N bytes at a time, with the event loop in between.
# -up, -down CMD: {*}CMD BYTES returns the bytes to pass on, to the server and
# to the client.
proc relay::start {args} {
    variable transform
    variable chunk
    variable listener
    set target [lindex $args end]
    set o [dict merge {-chunk 0 -up {} -down {}} [lrange $args 0 end-1]]
    set transform(up) [dict get $o -up]
    set transform(down) [dict get $o -down]
    set chunk [dict get $o -chunk]
    set listener [socket -server [list relay::Accept $target] 0]
    return [port $listener]
}

proc relay::Accept {target c args} {
    variable state
    set s [socket 127.0.0.1 $target]
    foreach {from to direction} [list $c $s up $s $c down] {
        fconfigure $from -blocking 0 -translation binary -buffering none
        set state($from) [list $to $direction]
        fileevent $from readable [list relay::Pass $from]
    }
}

proc relay::Pass {from} {
    variable state
    variable captured
    variable transform
    variable chunk
    lassign $state($from) to direction
    # No expr around the data: it would take what looks like a number for one.
    if {[catch {read $from {*}[if {$chunk} {set chunk}]} data]} {
        cut
        return
    }
    append captured($direction) $data
    set ended [eof $from]
    if {$transform($direction) ne {}} {
        set data [uplevel #0 $transform($direction) [list $data]]
        if {![info exists state($from)]} return
    }
    if {[catch {puts -nonewline $to $data; if {$ended} {close $to write}}]} {
        cut
        return
    }
    if {$ended} {
        fileevent $from readable {}
    } elseif {$chunk} {
        fileevent $from readable {}
        after 0 [list relay::Resume $from]
    }
}

proc relay::Resume {from} {
    variable state
    if {[info exists state($from)]} {fileevent $from readable [list relay::Pass $from]}
}

# End all connections at once, without any ceremony of TLS.
proc relay::cut {} {
    variable state
    foreach c [array names state] {catch {close $c}}
    array unset state
}

# What has passed in DIRECTION so far, as a list of {type length} of the TLS
# records in it.
proc relay::records {direction} {
    variable captured
    set records {}
    set at 0
    while {[binary scan $captured($direction) @${at}cuSuSu type version length] == 3} {
        lappend records [list $type $length]
        incr at [expr {5 + $length}]
    }
    return $records
}

proc relay::Reset {} {
    variable captured
    variable listener
    cut
    if {$listener ne {}} {close $listener; set listener {}}
    array set captured {up {} down {}}
    foreach id [after info] {
        if {[string match {*relay::Resume*} [after info $id]]} {after cancel $id}
    }
}
