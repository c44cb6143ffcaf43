# The other end of transfer.test in a process of its own: transferserver.tcl KIND
#
# A connection's first line is "send WAY MB" or "receive WAY MB". When it is
# done, "done BYTES CHECKSUM GROWTH" is printed, GROWTH in KB.

set arguments $argv
set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]
source [file join [file dirname [file normalize [info script]]] transfer.tcl]
set kind [lindex $arguments 0]

proc accept {c addr port} {
    fconfigure $c -blocking 1 -translation binary
    after 0 [list serve $c]
}
proc serve {c} {
    lassign [gets $c] what way mb
    # what is allocated once is no growth
    transfer::Megabyte 0
    set mark [transfer::mark]
    if {$what eq "send"} {
        set result [transfer::send $c $way $mb]
    } else {
        set result [transfer::receive $c $way]
    }
    puts "done $result [transfer::growth $mark]"
    fconfigure $c -blocking 1
    read $c
    close $c
}

fconfigure stdout -buffering line
fconfigure stdin -blocking 0
fileevent stdin readable {read stdin; if {[eof stdin]} {exit 0}}
interp bgerror {} {apply {{msg opts} {puts "bgerror: $msg"}}}
set listener [listen $kind accept]
puts "port [port $listener]"
vwait forever
