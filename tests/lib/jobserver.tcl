# A server in a process of its own: jobserver.tcl KIND ?CERTIFICATE?
#
# Prints "port N", then serves until its stdin ends. The first line of a
# connection names the job; see job::* below.

# tcltest reads argv
set arguments $argv
set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]

namespace eval job {
    variable last {}
    variable waiting {}
}

proc accept {c addr port} {
    fconfigure $c -blocking 0 -translation binary -buffering line
    fileevent $c readable [list command $c]
}

proc command {c} {
    if {[catch {gets $c line} n] || ($n < 0 && [eof $c])} {close $c; return}
    if {$n < 0} return
    fileevent $c readable {}
    fconfigure $c -buffering full
    job::[lindex $line 0] $c {*}[lrange $line 1 end]
}

# Send back what comes, piece by piece.
proc job::echo {c} {
    fileevent $c readable [list job::Echo $c]
}
proc job::Echo {c} {
    puts -nonewline $c [read $c]
    flush $c
    if {[eof $c]} {close $c}
}

# Send back what comes by an asynchronous chan copy.
proc job::copyback {c} {
    chan copy $c $c -command [list job::Done $c]
}
proc job::Done {c args} {close $c}

# Count what comes; at its end answer "BYTES CRC32".
proc job::sink {c {limit 65536}} {
    set ::job::n($c) 0
    set ::job::crc($c) 0
    fileevent $c readable [list job::Sink $c $limit]
}
proc job::Sink {c limit} {
    set data [read $c $limit]
    incr ::job::n($c) [string length $data]
    set ::job::crc($c) [zlib crc32 $data $::job::crc($c)]
    if {[eof $c]} {
        set ::job::last [list $::job::n($c) $::job::crc($c)]
        unset ::job::n($c) ::job::crc($c)
        fconfigure $c -blocking 1
        catch {puts $c $::job::last}
        catch {close $c}
    }
}

# Take nothing until told to ("go" on another connection), then sink. "go"
# answers "none" when there is nobody yet.
proc job::slowsink {c} {
    lappend ::job::waiting $c
}
proc job::go {c} {
    puts $c [expr {[llength $::job::waiting] ? "gone" : "none"}]
    foreach w $::job::waiting {sink $w}
    set ::job::waiting {}
    close $c
}

# What the last finished sink had, or an empty line.
proc job::last {c {clear 0}} {
    puts $c $::job::last
    if {$clear} {set ::job::last {}}
    close $c
}

# Send N bytes of pattern and close; by puts, or by chan copy from a file.
proc job::give {c n {how puts}} {
    if {$how eq "puts"} {
        puts -nonewline $c [pattern $n]
        close $c
        return
    }
    set f [open [file join [support::tmp] give-[pid]] w+b]
    puts -nonewline $f [pattern $n]
    seek $f 0
    file delete [file join [support::tmp] give-[pid]]
    chan copy $f $c -command [list apply {{f c args} {close $f; close $c}} $f $c]
}

# Send N bytes and end this side only; then sink.
proc job::givehalf {c n} {
    puts -nonewline $c [pattern $n]
    close $c write
    set ::job::n($c) 0
    set ::job::crc($c) 0
    fileevent $c readable [list job::Sink $c 65536]
}

# Answer each line with the same line in upper case.
proc job::upper {c} {
    fconfigure $c -buffering line
    fileevent $c readable [list job::Upper $c]
}
proc job::Upper {c} {
    if {[gets $c line] >= 0} {puts $c [string toupper $line]}
    if {[eof $c]} {close $c}
}

# Close at once; keep open and say nothing; end the process.
proc job::end {c} {close $c}
proc job::silent {c} {}
proc job::die {c} {exit 3}

lassign $arguments kind certificate
if {$certificate eq {}} {set certificate server}
proc bye {} {read stdin; if {[eof stdin]} {exit 0}}
fconfigure stdin -blocking 0
fileevent stdin readable bye
interp bgerror {} {apply {{msg opts} {puts stderr "bgerror: $msg"}}}
if {$kind eq "plain"} {
    set listener [listen plain accept]
} else {
    set listener [listen $kind accept -credentials [credentials $certificate]]
}
puts "port [port $listener]"
flush stdout
vwait forever
