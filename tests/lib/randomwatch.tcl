# Watches over a test from another process: randomwatch.tcl PID SECONDS
#
# The test writes a line now and then; when none comes for SECONDS, the test
# hangs: its last line is printed and process PID is killed. When the test ends
# without the line "done", it died: its last line is printed.

lassign $argv pid seconds
set line start
proc rearm {} {
    after cancel bark
    after [expr {$::seconds * 1000}] bark
}
proc bark {} {
    puts stderr "HANG: $::line"
    catch {exec kill -KILL $::pid}
    exit 1
}
fconfigure stdin -blocking 0
fileevent stdin readable {
    if {[gets stdin text] >= 0} {
        set line $text
        rearm
    } elseif {[eof stdin]} {
        if {$line ne "done"} {puts stderr "DIED: $line"}
        exit
    }
}
rearm
vwait forever
