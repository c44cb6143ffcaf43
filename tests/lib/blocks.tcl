# The examples of README.md and of the manual pages: finding them, and running them as they stand there, each in a
# tclsh of its own.
#
#   blocks::markdown FILE LANGUAGE   the code blocks of a Markdown file, by the heading they stand under
#   blocks::manual FILE              the examples of a manual page, by the name in the comment before each
#   blocks::serve SCRIPT ?VARS?      start a server; returns its port
#   blocks::run SCRIPT ?VARS? ?ENV?  run a client; returns what it prints
#
# FILE is relative to the source tree, VARS a dictionary of the variables that the example expects.

namespace eval blocks {
    variable root [file dirname $::support::tests]
    # Where the examples find ca.pem, server.pem and the like.
    variable dir [file join [support::tmp] blocks-[pid]]
}

proc blocks::prepare {} {
    variable dir
    file delete -force $dir
    file mkdir $dir
    foreach {name from} {ca.pem root.crt server.pem server.pem client.pem client.pem server.pfx modern.pfx} {
        file copy -force [certs::file $from] [file join $dir $name]
    }
}

proc blocks::remove {} {
    variable dir
    file delete -force $dir
}

proc blocks::text {file} {
    variable root
    set f [open [file join $root $file]]
    fconfigure $f -encoding utf-8
    try {return [read $f]} finally {close $f}
}

proc blocks::markdown {file language} {
    set blocks {}
    set heading {}
    set inside 0
    foreach line [split [text $file] \n] {
        if {$inside} {
            if {[string match ```* $line]} {
                dict lappend blocks $heading $code
                set inside 0
            } else {
                append code $line\n
            }
        } elseif {$line eq "```$language"} {
            set inside 1
            set code {}
        } else {
            regexp {^#+ (.*)} $line -> heading
        }
    }
    return $blocks
}

proc blocks::manual {file} {
    set source [text $file]
    set examples {}
    set at 0
    while {[regexp -indices -line -start $at {^\[example \{$} $source found]} {
        lassign $found first at
        # It ends where the doctools command does, with its braces on lines of their own.
        set end $at
        while 1 {
            set end [string first "\n\}\]\n" $source $end+1]
            if {$end < 0} {error "$file: an example without end"}
            set command [string range $source $first+1 $end+1]
            if {[info complete $command]} break
        }
        set before [string trimright [string range $source 0 $first-1]]
        if {![regexp {\[comment \{example: (\w+)\}\]$} $before -> name]} {
            error "$file: an example without a name in a comment before it: [string range $command 0 80]"
        }
        if {[dict exists $examples $name]} {error "$file: two examples are called $name"}
        # to the letter: Tcl would join lines that end in a backslash
        dict set examples $name [string range $command 9 end-1]
        set at $end
    }
    return $examples
}

# SCRIPT as a program that has the variables of VARS.
proc blocks::program {script vars} {
    variable dir
    set program "cd [list $dir]\n"
    foreach {name value} $vars {append program [list set $name $value]\n}
    return $program$script
}

# Start SCRIPT in another tclsh; returns the pipe to it, and the port, which it prints.
proc blocks::start {script {vars {}}} {
    variable dir
    set file [file join $dir server-[incr ::support::counter].tcl]
    set f [open $file w]
    puts $f [program $script $vars]
    close $f
    set pipe [child::start {*}[support::tclsh] $file]
    return [list $pipe [child::expect $pipe {^port (\d+)$}]]
}

# The same with a script that listens by the variable `listener`, or by its first tls_socket.
proc blocks::serve {script {vars {}}} {
    if {![regexp {set listener} $script]} {
        set script [regsub -line {^twapi::tls_socket .*$} $script {set listener [&]}]
    }
    return [lindex [listening $script $vars] 1]
}

proc blocks::listening {script {vars {}}} {
    set announce {after 0 {puts "port [lindex [chan configure $listener -sockname] 2]"; flush stdout}}
    return [start $announce\n$script [dict merge {port 0} $vars]]
}

proc blocks::run {script port {vars {}} {env {}}} {
    set known [dict create host localhost port $port url https://localhost:$port/]
    return [child::run [program $script [dict merge $known $vars]] $env]
}
