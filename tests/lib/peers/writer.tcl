# A blocking writer in a process of its own: writer.tcl KIND PORT BYTES
#
# Asks a jobserver for slowsink, prints "open", writes BYTES of pattern and
# prints "ended" with what came of that: 0 or 1, and what kind of error.

set arguments $argv
set argv {}
source [file join [file dirname [file dirname [file normalize [info script]]]] support.tcl]
lassign $arguments kind port bytes
fconfigure stdout -buffering line
set c [connect $kind $port]
fconfigure $c -translation binary
puts $c slowsink
flush $c
puts open
set code [catch {
    puts -nonewline $c [pattern $bytes]
    flush $c
} msg options]
puts "ended $code [lrange [dict get $options -errorcode] 0 1]"
catch {close $c}
