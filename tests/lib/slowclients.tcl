# Slow clients: slowclients.tcl PORT HELLOFILE COUNT
#
# Opens COUNT connections. By turns one says nothing, one sends half of the
# ClientHello in HELLOFILE and no more, one sends it whole and no more, and one
# is a real TLS client whose bytes trickle. Prints "connected COUNT" when all
# are, and "finished N" when all real ones have had their answer.

set arguments $argv
set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]
lassign $arguments port hellofile count
set f [open $hellofile rb]
set hello [read $f]
close $f
fconfigure stdout -buffering line
set relayed [relay::start -chunk 40 $port]
set finished 0
set open {}
for {set i 0} {$i < $count} {incr i} {
    if {$i % 4 == 3} {
        set c [dial tls13 $relayed]
        fconfigure $c -blocking 0 -buffering line
        puts $c last
        fileevent $c readable [list apply {c {
            if {[gets $c line] >= 0 || [eof $c]} {
                fileevent $c readable {}
                incr ::finished
            }
        }} $c]
    } else {
        set c [socket localhost $port]
        fconfigure $c -blocking 0 -translation binary -buffering none
        if {$i % 4 == 1} {puts -nonewline $c [string range $hello 0 [expr {[string length $hello] / 2}]]}
        if {$i % 4 == 2} {puts -nonewline $c $hello}
    }
    lappend open $c
}
puts "connected $count"
until {$finished == $count / 4} 90000
puts "finished $finished"
fconfigure stdin -blocking 0
fileevent stdin readable {read stdin; if {[eof stdin]} {exit 0}}
vwait forever
