# The operations of a random sequence that copy between an end and a file.

# Copy N characters, or all to the end, from SIDE to a file.
proc ends::Op.copyout {side n when} {
    variable S
    set w [peer $side]
    if {$::pipe::P($w,enc) ne "binary" || $::pipe::P($w,trans) ne "lf" || $::pipe::P($w,lax)} return
    if {$n eq "end" && !$::pipe::P($w,ended)} return
    Op.quiet $side
    set file [Scratch]
    if {$n eq "end"} {
        set size {}
        set n [pipe::left $w]
    } else {
        set n [expr {min($n, [pipe::sure $w])}]
        if {$n == 0} return
        set size [list -size $n]
    }
    if {$when eq "now" && $size ne {} && $::pipe::P($w,load) <= $::ends::light} {
        InKernel $w
        set copied [chan copy $S($side,chan) $file {*}$size]
    } else {
        set ::ends::copied {}
        chan copy $S($side,chan) $file {*}$size -command {lappend ::ends::copied}
        Wait {$::ends::copied ne {}} {chan copy ends}
        set copied $::ends::copied
    }
    if {[llength $copied] != 1} {Fail "chan copy says: $copied"}
    if {$copied != $n} {Fail "chan copy says $copied bytes, not $n"}
    seek $file 0
    set data [read $file]
    if {[string length $data] != $n} {Fail "chan copy copied [string length $data] bytes, not $n"}
    set wrong [pipe::read $w $data]
    if {$wrong ne {}} {Fail "chan copy: $wrong"}
    if {$S($side,loose)} return
    return [list copied $copied eof [eof $S($side,chan)]]
}

# Copy SIZE bytes from a file to SIDE.
proc ends::Op.copyin {side size offset when} {
    variable S
    set r [peer $side]
    if {!$S($side,w) || $S($side,broken) || !$S($r,open)} return
    if {$S($side,enc) ne "binary" || $S($side,out) ne "lf"} return
    set chars [pipe::content [Bounded $side $size] $offset]
    set bytes [pipe::encode $chars lf]
    set n [string length $bytes]
    Room $side $n
    set file [Scratch]
    puts -nonewline $file $bytes
    seek $file 0
    pipe::write $side $bytes $S($side,out)
    if {$when eq "now"} {
        if {$::pipe::P($side,load) > $::ends::light} {
            # a copy without -command blocks
            set when later
        }
    }
    if {$when eq "now"} {
        set copied [chan copy $file $S($side,chan)]
    } else {
        # a file is always readable: only events can get in between
        set quiet [expr {$S($r,rh) eq {}}]
        if {$quiet} {Op.readable $r all}
        set ::ends::copied {}
        chan copy $file $S($side,chan) -command {lappend ::ends::copied}
        Wait {$::ends::copied ne {}} {chan copy ends}
        set copied $::ends::copied
        if {$quiet} {Op.quiet $r}
    }
    if {$copied ne $n} {Fail "chan copy says: $copied, not $n"}
    return [list copied $copied]
}

# An empty file.
proc ends::Scratch {} {
    variable scratch
    if {![info exists scratch] || $scratch ni [chan names]} {
        set scratch [file tempfile name]
        file delete $name
        fconfigure $scratch -translation binary
    }
    seek $scratch 0
    chan truncate $scratch
    return $scratch
}
