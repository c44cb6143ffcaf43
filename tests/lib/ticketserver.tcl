# A server in a process of its own whose sessions can be resumed: ticketserver.tcl ?OPTION VALUE …?, options of
# sspi_schannel_credentials. It prints "port N" and tells each client whether its session is resumed.

set arguments $argv
set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]

proc greet {c args} {
    puts -nonewline $c [dict get [twapi::tls_info $c] resumed]
    close $c
}
set listener [twapi::tls_socket -server greet -credentials [credentials server server {*}$arguments] 0]
puts "port [port $listener]"
flush stdout
fileevent stdin readable {if {[eof stdin] || [gets stdin line] < 0} {exit 0}}
vwait forever
