# Our ends of connections with peer programs that know the jobs of peer.js.
#
#   peer::command       the words that start the program; the suite sets it
#   peer::server        start it as a server
#   peer::client        run it as a client, to its end
#   peer::take          our client's end of a job that the server does
#   peer::listen        our server, which does the jobs that clients name

namespace eval peer {
    variable command {}
    variable opened {}
    variable done {}
}

# The options that give a peer the certificate of that name; no name, none.
proc peer::identity {name} {
    if {$name eq {}} return
    return [list cert=[certs::file $name.chain] key=[certs::file $name.key]]
}

# What the server in PIPE says of its next connection, under KEY.
proc peer::fact {pipe key} {
    return [dict get [child::expect $pipe {^open (.*)$}] $key]
}

# Start the server with certificate NAME; returns pipe and port.
proc peer::server {name args} {
    variable command
    set pipe [child::start {*}$command server {*}[identity $name] {*}$args]
    return [list $pipe [child::expect $pipe {^port (\d+)$}]]
}

# Run the client against PORT; returns a dict of the lines that it prints, each
# under its first word ("open", "result", "end", if it got so far).
proc peer::client {port args} {
    variable command
    set pipe [child::start {*}$command client port=$port host=localhost ca=[certs::file root.crt] {*}$args]
    set said {}
    foreach line [split [string trim [child::rest $pipe]] \n] {
        regexp {^(\S+) ?(.*)$} $line -> word rest
        dict set said $word $rest
    }
    child::finish $pipe
    return $said
}

proc peer::same {data n} {
    return [expr {$data eq [pattern $n] ? "same" : "[string length $data] bytes, [zlib crc32 $data]"}]
}

# N bytes of pattern as the peers report them.
proc peer::tally {n} {
    return "$n [zlib crc32 [pattern $n]]"
}

# The other end of JOB with N bytes, done by the server that CHAN leads to:
# a dict of what came (same, if it is what should), how it ended, what
# -error says then and whether close_notify came.
proc peer::take {chan job n} {
    fconfigure $chan -blocking 0 -translation binary
    puts $chan "$job $n"
    if {$job in {echo sink}} {
        puts -nonewline $chan [pattern $n]
        close $chan write
    } else {
        flush $chan
    }
    collect $chan peer_got
    until {[info exists peer_got_end]} 60000
    if {$job eq "half"} {
        puts -nonewline $chan [pattern $n]
        close $chan write
    }
    if {$job eq "sink"} {
        set got [expr {$::peer_got eq "[tally $n]\n" ? "same" : $::peer_got}]
    } else {
        set got [same $::peer_got $n]
    }
    return [list got $got end $::peer_got_end error [fconfigure $chan -error] \
        closenotify [dict get [twapi::tls_info $chan] closenotify]]
}

# A server within this process; returns the listener. What tls_info says of each
# connection is appended to peer::opened, and to peer::done how its job (none, if
# there came none) went: as take returns it, with the job in front.
proc peer::listen {args} {
    variable opened {}
    variable done {}
    return [::listen tls13 peer::Accept {*}$args]
}

proc peer::Accept {chan args} {
    variable opened
    lappend opened [twapi::tls_info $chan]
    fconfigure $chan -blocking 0 -translation binary
    fileevent $chan readable [list peer::Command $chan]
}

proc peer::Command {chan} {
    if {[gets $chan line] < 0} {
        if {[eof $chan]} {Done $chan none {}}
        return
    }
    lassign $line job n
    switch $job {
        echo {
            fileevent $chan readable {}
            chan copy $chan $chan -command [list peer::Done $chan $job {}]
            return
        }
        give {
            puts -nonewline $chan [pattern $n]
            Done $chan $job {}
            return
        }
        half {
            puts -nonewline $chan [pattern $n]
            close $chan write
        }
    }
    set ::peer::got($chan) {}
    fileevent $chan readable [list peer::Collect $chan $job $n]
}

proc peer::Collect {chan job n} {
    append ::peer::got($chan) [read $chan]
    if {![eof $chan]} return
    set got $::peer::got($chan)
    unset ::peer::got($chan)
    if {$job eq "sink"} {puts $chan "[string length $got] [zlib crc32 $got]"}
    Done $chan $job [same $got $n]
}

proc peer::Done {chan job got args} {
    variable done
    lappend done [list job $job got $got error [fconfigure $chan -error] \
        closenotify [dict get [twapi::tls_info $chan] closenotify]]
    close $chan
}
