# A server that speaks no TLS: plainserver.tcl text|silent|silent-close|close
#
# text answers each connection with a line, silent reads and says nothing,
# silent-close reads something and closes, close closes at once.

set how [lindex $argv 0]
proc accept {how c addr port} {
    fconfigure $c -blocking 0 -translation binary
    switch $how {
        text {puts -nonewline $c "220 mail.example ready, speak plain\r\n"; close $c}
        close {close $c}
        default {fileevent $c readable [list take $how $c]}
    }
}
proc take {how c} {
    if {[catch {read $c}] || [eof $c] || $how eq "silent-close"} {close $c}
}
fconfigure stdin -blocking 0
fileevent stdin readable {read stdin; if {[eof stdin]} {exit 0}}
set listener [socket -server [list accept $how] 0]
puts "port [lindex [fconfigure $listener -sockname] 2]"
flush stdout
vwait forever
