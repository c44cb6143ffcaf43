# Runs every suite, each file in a tclsh of its own, when called by hand:
#
#   TCLLIBPATH=target/package tclsh tests/all.tcl ?-file PATTERN? ?-match PATTERN? ?other options of tcltest?
#
# `make test` does the same in Tcl 8.6 and Tcl 9, kills what hangs, and counts.
package require Tcl 8.6-
package require tcltest 2.5

tcltest::configure -testdir [file dirname [file normalize [info script]]] -singleproc 0 {*}$argv
# The command that starts a tclsh like this one, for files that start others; tcltest starts each file with it too.
if {[info exists env(TCLSH_CMD)]} {
    # tcltest wants a word; a command of several is none that it can start.
    if {[llength $env(TCLSH_CMD)] == 1} {
        tcltest::interpreter [lindex $env(TCLSH_CMD) 0]
    }
} else {
    set env(TCLSH_CMD) [list [info nameofexecutable]]
}
exit [tcltest::runAllTests]
