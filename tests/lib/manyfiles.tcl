# A TLS server that has more than 1024 files open for a while: it answers each
# connection's first line in upper case. After the first it opens the files and
# says "full"; after the second came, by whatever end, it closes them and says
# "empty".

set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]
fconfigure stdout -buffering line
set held {}
proc accept {c args} {
    fconfigure $c -blocking 0 -buffering line -translation lf
    fileevent $c readable [list answer $c]
}
proc answer {c} {
    if {[gets $c line] < 0} {if {[eof $c]} {close $c}; return}
    fileevent $c readable {}
    puts $c [string toupper $line]
    # not closed: a descriptor given back would be taken by the next one
    after 0 next
}
proc next {} {
    if {![llength $::held]} {
        for {set i 0} {$i < 1100} {incr i} {lappend ::held [open /dev/null]}
        puts full
    } elseif {$::held ne "over"} {
        foreach f $::held {close $f}
        set ::held over
        puts empty
    }
}
# a refused connection is reported
interp bgerror {} {apply {{msg opts} {puts "bgerror: [dict get $opts -errorcode] $msg"; after 0 next}}}
fconfigure stdin -blocking 0
fileevent stdin readable {read stdin; if {[eof stdin]} {exit 0}}
set listener [listen tls13 accept]
puts "port [port $listener]"
vwait forever
