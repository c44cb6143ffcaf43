# The programs of examples/, run as a user runs them.
#
#   example::run PROGRAM ARG …          to its end: {status stdout stderr}; what example::input holds is its input
#   example::serve PROGRAM ARG …        a server on a port of its own: {pipe port}
#   example::file NAME                  a path in a folder of the suite's own, which example::clean removes

namespace eval example {
    variable programs [::file join [::file dirname $::support::tests] examples]
    variable dir {}
    variable input {}
}

proc example::file {{name {}}} {
    variable dir
    if {$dir eq {}} {
        set dir [::file join [support::tmp] example-[pid]]
        ::file mkdir $dir
    }
    return [::file join $dir $name]
}

proc example::clean {} {
    variable dir
    if {$dir ne {}} {::file delete -force $dir}
    set dir {}
}

proc example::write {name bytes} {
    set f [open [file $name] wb]
    puts -nonewline $f $bytes
    close $f
    return [file $name]
}

proc example::read {name} {
    set f [open [file $name] rb]
    try {return [::read $f]} finally {close $f}
}

proc example::command {program} {
    variable programs
    return [list {*}[support::tclsh] [::file join $programs $program.tcl]]
}

proc example::start {program args} {
    set pipe [child::start {*}[command $program] {*}$args]
    fconfigure $pipe -encoding utf-8
    return $pipe
}

proc example::serve {program args} {
    set pipe [start $program {*}$args]
    return [list $pipe [child::expect $pipe {^(?:https://.*:|listening on port )(\d+)\y}]]
}

# Also for commands that are none of the examples.
proc example::execute {args} {
    variable input
    set errors [file stderr-[incr ::support::counter]]
    set pipe [open |[list {*}$args 2>$errors] r+]
    lappend ::child::pipes $pipe
    fconfigure $pipe -translation binary -buffering none
    # It may end before it has read all of that.
    catch {puts -nonewline $pipe $input}
    catch {close $pipe write}
    set input {}
    set text [child::rest $pipe 60000]
    set status [child::finish $pipe]
    return [list $status $text [read [::file tail $errors]]]
}

proc example::run {program args} {
    return [execute {*}[command $program] {*}$args]
}
