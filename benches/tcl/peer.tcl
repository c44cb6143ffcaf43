# One side of a measured connection. All that differs between the kinds stands in `transport`, below.
#
#   tclsh peer.tcl plain|tcltls|ours server|client ?-OPTION VALUE …?
#
# A server prints "port N" and answers "report" with what it has done. A client prints "ready", waits for "go", works, and
# prints "done NAME VALUE …". Both end at the end of their input. Every failure ends the process with status 1.

package require Tcl 8.6-

set options [dict merge {
    -mode lines -job connect -port 0 -from 127.0.0.1 -cert {} -key {} -cafile {} -cadir {} -payload {}
    -copy 0 -buffer default -direction down -bytes 0 -count 0 -connections 1 -names many -scratch {}
} [lassign $argv kind role]]
proc option {name} {dict get $::options $name}

proc fail {message {options {}}} {
    puts stderr "$message\n[expr {[dict exists $options -errorinfo] ? [dict get $options -errorinfo] : {}}]"
    exit 1
}
# TclTLS reports each client that goes away early in the background, so for a server that is no failure; it is counted.
proc background {message options} {
    if {$::role eq "client"} {fail $message $options}
    if {[incr ::broken] == 1} {puts stderr "$message\n[dict get $options -errorinfo]"}
}
interp bgerror {} background

# --- what differs: how a listening socket and a connection are made ------------

# Tcl binds a client's socket before it connects. The kernel then looks for a port that no earlier connection of the same
# address still waits on (TIME-WAIT), and after some thousands of them takes milliseconds for it: so each run has its own
# address.
namespace eval transport {}

proc transport::plain {} {
    proc listen {accept} {socket -server $accept -myaddr 127.0.0.1 0}
    proc connect {name} {socket -myaddr [option -from] 127.0.0.1 [option -port]}
    proc about {chan} {return {resumed 0 protocol none cipher none}}
}

proc transport::tcltls {} {
    package require tls
    proc listen {accept} {
        tls::socket -server $accept -myaddr 127.0.0.1 -certfile [option -cert] -keyfile [option -key] -request 0 0
    }
    set trust {}
    foreach name {-cafile -cadir} {
        if {[option $name] ne {}} {lappend trust $name [option $name]}
    }
    proc connect {name} [string map [list TRUST $trust] {
        set chan [tls::socket -require 1 TRUST -servername $name -myaddr [option -from] 127.0.0.1 [option -port]]
        # Else the handshake would wait for the first data.
        tls::handshake $chan
        return $chan
    }]
    proc about {chan} {
        set status [tls::status $chan]
        return [list resumed 0 protocol [dict get $status version] cipher [dict get $status cipher]]
    }
}

# Whom to trust says the environment variable SSL_CERT_FILE.
proc transport::ours {} {
    package require twapi_crypto
    proc listen {accept} {
        set pem {}
        foreach name {-cert -key} {
            set f [open [option $name]]
            append pem [read $f]
            close $f
        }
        set store [twapi::cert_temporary_store -pem $pem]
        set cert [twapi::cert_store_find_certificate $store has_private_key]
        set credentials [twapi::sspi_acquire_credentials -package unisp -role server -credentials \
            [twapi::sspi_schannel_credentials -certificates [list $cert]]]
        twapi::tls_socket -server $accept -myaddr 127.0.0.1 -credentials $credentials 0
    }
    proc connect {name} {twapi::tls_socket -peersubject $name -myaddr [option -from] 127.0.0.1 [option -port]}
    proc about {chan} {
        set info [twapi::tls_info $chan]
        dict with info {
            return [list resumed $resumed protocol $protocol cipher $cipher group [expr {$group eq {} ? "none" : $group}]]
        }
    }
}

transport::$kind
foreach command {listen connect about} {
    rename transport::$command $command
}

# A session is resumed only under the same name, so another one for each connection makes all of them new.
proc name {number} {
    if {[option -names] eq "one"} {return localhost}
    return c$number.bench.test
}

namespace eval server {}
namespace eval client {}

# --- moving much data ----------------------------------------------------------

# The payload is a block of 64 KB, over and over.
proc read_file {file} {
    set f [open $file rb]
    try {return [read $f 65536]} finally {close $f}
}

proc tune {chan} {
    fconfigure $chan -translation binary
    if {[option -buffer] ne "default"} {fconfigure $chan -buffersize [option -buffer]}
}

proc copy {from to bytes} {
    chan copy $from $to -size $bytes -command {apply {{args} {set ::copied $args}}}
    vwait ::copied
    lassign $::copied count message
    if {$message ne {}} {error $message}
    if {$count != $bytes} {error "copied $count bytes of $bytes"}
}

proc send {chan bytes} {
    if {[option -copy]} {
        set file [open [option -payload] rb]
        # The file is not what is measured: its own 4 KB would decide how fast all of them are.
        fconfigure $file -buffersize 65536
        copy $file $chan $bytes
        close $file
    } else {
        for {set left $bytes} {$left >= 65536} {incr left -65536} {
            puts -nonewline $chan $::block
        }
        puts -nonewline $chan [string range $::block 0 [expr {$left - 1}]]
    }
    flush $chan
}

# The CRC-32 of the data if it is to be checked, else 0.
proc receive {chan bytes check} {
    set sum 0
    if {[option -copy]} {
        set name [expr {$check ? [option -scratch] : "/dev/null"}]
        set sink [open $name wb]
        fconfigure $sink -buffersize 65536
        copy $chan $sink $bytes
        close $sink
        if {$check} {
            set f [open $name rb]
            set sum [zlib crc32 [read $f]]
            close $f
        }
        return $sum
    }
    while {$bytes > 0} {
        set data [read $chan [expr {min($bytes, 65536)}]]
        # To compare data with a string would make a string of it, which costs more than all the rest.
        set length [string length $data]
        if {$length == 0} {error "the data ended $bytes bytes early"}
        if {$check} {set sum [zlib crc32 $data $sum]}
        incr bytes -$length
    }
    return $sum
}

proc server::bulk {chan args} {
    tune $chan
    fconfigure $chan -blocking 1
    while {[gets $chan line] >= 0} {
        lassign $line direction bytes check
        if {$direction eq "down"} {
            send $chan $bytes
        } else {
            puts $chan [receive $chan $bytes $check]
            flush $chan
        }
        incr ::moved $bytes
    }
    close $chan
    incr ::closed
}

# Asks for BYTES, or sends them; returns the sum.
proc transfer {chan direction bytes check} {
    puts $chan [list $direction $bytes $check]
    flush $chan
    if {$direction eq "down"} {
        return [receive $chan $bytes $check]
    }
    send $chan $bytes
    if {[gets $chan sum] < 0} {error "no answer"}
    return $sum
}

proc client::bulk {} {
    set chan [connect localhost]
    tune $chan
    set check [expr {1 << 20}]
    set sum [transfer $chan [option -direction] $check 1]
    if {$sum != [zlib crc32 [string repeat $::block 16]]} {error "the sum of what arrived is wrong: $sum"}
    ready
    set start [clock microseconds]
    transfer $chan [option -direction] [option -bytes] 0
    set time [expr {[clock microseconds] - $start}]
    set about [about $chan]
    close $chan
    done micros $time bytes [option -bytes] {*}$about
}

# --- many connections, short lines ---------------------------------------------

proc server::lines {chan args} {
    fconfigure $chan -blocking 0 -translation binary -buffering line
    fileevent $chan readable [list line $chan]
}
proc line {chan} {
    # A client that goes away with data unread resets the connection: that is its end too.
    if {[catch {gets $chan line} length] || ($length < 0 && [eof $chan])} {
        catch {close $chan}
        incr ::closed
    } elseif {$length >= 0} {
        puts $chan "reply $line"
        incr ::answered
    }
}

# All ask before the first waits for its answer: where one has to wait for an acknowledgement, all wait together.
proc converse {chans} {
    foreach chan $chans {
        puts $chan hello
    }
    foreach chan $chans {
        if {[gets $chan reply] < 0 || $reply ne "reply hello"} {error "answered: $reply"}
    }
}

proc open_line {number} {
    set chan [connect [name $number]]
    fconfigure $chan -translation binary -buffering line
    return $chan
}

# The handshake, or with it one exchange.
proc client::connect_only {} {times {{number} {close [connect [name $number]]}}}
proc client::exchange {} {times {{number} {
    set chan [open_line $number]
    converse $chan
    close $chan
}}}

proc times {lambda} {
    set count [option -count]
    for {set i 1} {$i <= 5} {incr i} {
        apply $lambda -$i
    }
    ready
    set start [clock microseconds]
    for {set i 1} {$i <= $count} {incr i} {
        apply $lambda $i
    }
    set time [expr {[clock microseconds] - $start}]
    # Whether such a connection is a resumed one is asked apart from those that are timed.
    set chan [open_line [incr i]]
    converse $chan
    set about [about $chan]
    close $chan
    done micros $time connections [expr {$count + 6}] {*}$about
}

proc client::idle {} {
    for {set i 1} {$i <= 10} {incr i} {
        lappend few [open_line -$i]
    }
    converse $few
    ready
    set start [clock microseconds]
    for {set i 1} {$i <= [option -count]} {incr i} {
        lappend chans [open_line $i]
    }
    converse $chans
    lappend chans {*}$few
    done micros [expr {[clock microseconds] - $start}] connections [llength $chans] {*}[about [lindex $chans 0]]
}

# --- requests and responses of 1 KB --------------------------------------------

proc server::echo {chan args} {
    fconfigure $chan -blocking 0 -translation binary
    fileevent $chan readable [list respond $chan]
}
proc respond {chan} {
    set data [message $chan]
    if {[string length $data] == 1024} {
        puts -nonewline $chan $data
        flush $chan
        incr ::answered
    } elseif {[eof $chan]} {
        close $chan
        incr ::closed
        unset -nocomplain ::parts($chan)
    }
}

# The next 1024 bytes, or fewer where they are not all there yet. Most often they are.
proc message {chan} {
    if {![info exists ::parts($chan)]} {
        set data [read $chan 1024]
        if {[string length $data] == 1024} {return $data}
    } else {
        set data $::parts($chan)[read $chan [expr {1024 - [string length $::parts($chan)]}]]
    }
    if {[string length $data] == 1024} {
        unset ::parts($chan)
    } elseif {[string length $data] > 0} {
        set ::parts($chan) $data
        return {}
    }
    return $data
}

# One connection is used as a script without events would; several, by events.
proc client::requests {} {
    set ::request [string range $::block 0 1023]
    set ::sum [zlib crc32 $::request]
    for {set i 1} {$i <= [option -connections]} {incr i} {
        set chan [connect localhost]
        fconfigure $chan -translation binary
        request $chan
        lappend chans $chan
    }
    set about [about [lindex $chans 0]]
    if {[option -connections] > 1} {
        foreach chan $chans {
            fconfigure $chan -blocking 0
            fileevent $chan readable [list response $chan]
        }
    }
    ready
    set ::times {}
    set ::left [set ::waiting [option -count]]
    set start [clock microseconds]
    if {[option -connections] == 1} {
        while {[incr ::left -1] >= 0} {
            set begin [clock microseconds]
            request $chan
            lappend ::times [expr {[clock microseconds] - $begin}]
        }
    } else {
        foreach chan $chans {
            ask $chan
        }
        vwait ::finished
    }
    set time [expr {[clock microseconds] - $start}]
    set times [lsort -integer $::times]
    set n [llength $times]
    done micros $time requests $n p50 [lindex $times [expr {$n / 2}]] p99 [lindex $times [expr {$n * 99 / 100}]] {*}$about
}
proc request {chan} {
    puts -nonewline $chan $::request
    flush $chan
    if {[zlib crc32 [read $chan 1024]] != $::sum} {error "another answer"}
}
proc ask {chan} {
    if {[incr ::left -1] < 0} return
    set ::since($chan) [clock microseconds]
    puts -nonewline $chan $::request
    flush $chan
}
proc response {chan} {
    set data [message $chan]
    if {[string length $data] != 1024} {
        if {[eof $chan]} {error "the connection ended"}
        return
    }
    if {[zlib crc32 $data] != $::sum} {error "another answer"}
    lappend ::times [expr {[clock microseconds] - $::since($chan)}]
    ask $chan
    if {[incr ::waiting -1] == 0} {set ::finished 1}
}

# --- talking to who measures ---------------------------------------------------

proc say {args} {
    puts [join $args]
    flush stdout
}
proc ready {} {
    say ready
    if {[gets stdin] ne "go"} {exit 0}
}
proc done {args} {
    say done {*}$args
}

set block [read_file [option -payload]]
if {$role eq "server"} {
    lassign {0 0 0 0} closed answered moved broken
    set listener [listen server::[option -mode]]
    fileevent stdin readable {
        if {[gets stdin] eq "report"} {
            say closed $closed answered $answered moved $moved broken $broken
        } elseif {[eof stdin]} {
            exit 0
        }
    }
    say port [lindex [fconfigure $listener -sockname] 2]
    vwait forever
}
if {[catch {client::[option -job]} message problem]} {
    fail $message $problem
}
gets stdin
exit 0
