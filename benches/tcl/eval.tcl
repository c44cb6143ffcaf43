# Evaluates a script in an interpreter that has done nothing else yet: tclsh eval.tcl SCRIPT
eval [lindex $argv 0]
