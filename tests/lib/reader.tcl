# A blocking reader in a process of its own: reader.tcl KIND PORT
#
# Prints "open", "got LINE" for each line, and in the end "eof: ERROR" with
# what chan configure -error says, or "error: ERRORCODE MESSAGE".

set arguments $argv
set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]
lassign $arguments kind port
fconfigure stdout -buffering line
set c [connect $kind $port]
puts open
while 1 {
    if {[catch {gets $c line} n opts]} {
        puts "error: [dict get $opts -errorcode] $n"
        break
    }
    if {$n < 0} {
        puts "eof: [fconfigure $c -error]"
        break
    }
    puts "got $line"
}
close $c
