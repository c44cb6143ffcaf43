# A TLS server for many connections: answers each line; "report" on stdin tells the last background error's code.

source [file join [file dirname [file normalize [info script]]] support.tcl]
support::trust
package require twapi_crypto

proc serve {c args} {
    fconfigure $c -blocking 0 -buffering line -translation lf
    fileevent $c readable [list answer $c]
}
proc answer {c} {
    if {[catch {gets $c line} n] || ($n < 0 && [eof $c])} {
        close $c
    } elseif {$n >= 0} {
        puts $c served
    }
}
set code none
interp bgerror {} {apply {{message options} {set ::code [dict get $options -errorcode]}}}
set l [listen tls13 serve]
fconfigure stdout -buffering line
puts "port [port $l]"
fconfigure stdin -blocking 0 -buffering line
fileevent stdin readable {
    if {[gets stdin line] >= 0} {puts "report $code"} elseif {[eof stdin]} {exit 0}
}
vwait forever
