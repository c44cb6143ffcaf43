# Child processes: servers and peers that live no longer than the test.

namespace eval child {
    variable pipes {}
}

# Start a command with a pipe to it; its stderr comes with its stdout.
proc child::start {args} {
    variable pipes
    set pipe [open |[list {*}$args 2>@1] r+]
    fconfigure $pipe -translation lf -buffering line
    lappend pipes $pipe
    return $pipe
}

# Start script NAME of tests/lib in another tclsh; it prints its port first.
# Returns the pipe and the port.
proc child::server {name args} {
    set pipe [start {*}[support::tclsh] [file join $::support::lib $name] {*}$args]
    return [list $pipe [expect $pipe {^port (\d+)$}]]
}

# The next line that matches REGEXP; returns the first group, or the line.
# What came before is in the error message when it never comes.
proc child::expect {pipe regexp {ms {}}} {
    if {$ms eq {}} {set ms $::support::patience}
    set seen {}
    set ::child::late 0
    set blocking [fconfigure $pipe -blocking]
    set id [after $ms {set ::child::late 1; set ::child::line 1}]
    fconfigure $pipe -blocking 0
    fileevent $pipe readable {set ::child::line 1}
    try {
        while 1 {
            if {[gets $pipe line] >= 0} {
                append seen $line\n
                if {[regexp $regexp $line all group]} {
                    return [expr {$group eq {} ? $all : $group}]
                }
            } elseif {[eof $pipe]} {
                error "child ended before \"$regexp\"; it said:\n$seen"
            } elseif {$::child::late} {
                error "child did not say \"$regexp\" in $ms ms; it said:\n$seen"
            } else {
                vwait ::child::line
            }
        }
    } finally {
        after cancel $id
        fileevent $pipe readable {}
        fconfigure $pipe -blocking $blocking
    }
}

# Everything the child says until it ends, with the event loop running.
proc child::rest {pipe {ms {}}} {
    if {$ms eq {}} {set ms $::support::patience}
    set ::child::text {}
    fconfigure $pipe -blocking 0
    fileevent $pipe readable [list child::Collect $pipe]
    set id [after $ms {set ::child::done late}]
    vwait ::child::done
    after cancel $id
    fileevent $pipe readable {}
    if {$::child::done eq "late"} {error "child did not end in $ms ms; it said:\n$::child::text"}
    return $::child::text
}

proc child::Collect {pipe} {
    append ::child::text [read $pipe]
    if {[eof $pipe]} {set ::child::done eof}
}

# Wait for the child's end; returns its exit status, or the signal's name.
proc child::finish {pipe} {
    variable pipes
    set pipes [lsearch -inline -all -not -exact $pipes $pipe]
    fconfigure $pipe -blocking 1
    if {[catch {close $pipe} msg options]} {
        set code [dict get $options -errorcode]
        switch [lindex $code 0] {
            CHILDSTATUS - CHILDKILLED {return [lindex $code 2]}
            default {return $msg}
        }
    }
    return 0
}

proc child::stop {pipe} {
    variable pipes
    if {$pipe ni $pipes} return
    set pipes [lsearch -inline -all -not -exact $pipes $pipe]
    foreach id [pid $pipe] {catch {exec kill -KILL $id}}
    fconfigure $pipe -blocking 1
    catch {close $pipe}
}

proc child::Reap {} {
    variable pipes
    foreach p $pipes {stop $p}
}

# Run SCRIPT in a fresh tclsh; returns what it prints. Its failing is an
# error with the exit status or signal and everything it said. The keys of
# ENV are set for it.
proc child::run {script {env {}}} {
    set file [file join [support::tmp] run-[pid]-[incr ::support::counter].tcl]
    set f [open $file w]
    puts $f $script
    close $f
    set saved [array get ::env]
    try {
        dict for {k v} $env {set ::env($k) $v}
        set pipe [start {*}[support::tclsh] $file]
    } finally {
        dict for {k v} $env {
            if {[dict exists $saved $k]} {set ::env($k) [dict get $saved $k]} else {unset ::env($k)}
        }
    }
    try {
        set text [rest $pipe 120000]
        set status [finish $pipe]
    } finally {
        stop $pipe
        file delete $file
    }
    if {$status ne "0"} {error "child ended with $status and said:\n$text"}
    return [string trimright $text \n]
}

# --- other implementations -------------------------------------------------------

# openssl s_server with certificate NAME; returns pipe and port.
proc child::s_server {name args} {
    set pipe [start openssl s_server -accept 127.0.0.1:0 -cert [certs::file $name.crt] \
        -cert_chain [certs::file $name.chain] -key [certs::file $name.key] {*}$args]
    return [list $pipe [expect $pipe {^ACCEPT .*:(\d+)$}]]
}

# A port that was free a moment ago, for servers that cannot choose one.
proc child::freeport {} {
    set s [socket -server {apply {{c args} {close $c}}} -myaddr 127.0.0.1 0]
    set port [lindex [fconfigure $s -sockname] 2]
    close $s
    return $port
}

# Wait until something listens on PORT.
proc child::listening {port} {
    set end [expr {[clock milliseconds] + $::support::patience}]
    while {[catch {socket 127.0.0.1 $port} s]} {
        if {[clock milliseconds] > $end} {error "nothing listens on port $port"}
        after 20
    }
    close $s
}
