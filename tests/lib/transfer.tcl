# Moving many megabytes through a channel, in three ways, with a checksum on
# both ends. Ways: blocking (puts, read), fileevent, copy (chan copy).
#
#   transfer::send CHAN WAY MB      -> {bytes checksum}; ends the writing side
#   transfer::receive CHAN WAY      -> {bytes checksum}; reads to the end
#
# No megabyte is like another, so that a lost or a doubled one shows. Both
# run the event loop where the way needs it.

namespace eval transfer {
    variable block {}
    variable data {}
}

# Megabyte number I: its number in front of a block of noise that is the same
# in every process.
proc transfer::Megabyte {i} {
    variable block
    if {$block eq {}} {
        # a stream cipher's worth of noise without a cipher
        set x 12345
        set words {}
        for {set n 0} {$n < 16384} {incr n} {
            lappend words [set x [expr {($x * 1103515245 + 12345) & 0x7fffffff}]]
        }
        set block [string repeat [binary format i* $words] 16]
    }
    return [format %08d $i][string range $block 8 end]
}


proc transfer::send {c way mb} {
    fconfigure $c -translation binary -buffering full -blocking [expr {$way eq "blocking"}]
    return [Send-$way $c $mb]
}

proc transfer::receive {c way} {
    fconfigure $c -translation binary -blocking [expr {$way eq "blocking"}]
    return [Receive-$way $c]
}

proc transfer::Send-blocking {c mb} {
    set crc 0
    for {set i 0} {$i < $mb} {incr i} {
        set data [Megabyte $i]
        set crc [zlib crc32 $data $crc]
        puts -nonewline $c $data
    }
    close $c write
    return [list [expr {$mb << 20}] $crc]
}

proc transfer::Receive-blocking {c} {
    set crc 0
    set n 0
    while {![eof $c]} {
        set data [read $c 1048576]
        set crc [zlib crc32 $data $crc]
        incr n [string length $data]
    }
    return [list $n $crc]
}

proc transfer::Send-fileevent {c mb} {
    set ::transfer::crc 0
    set ::transfer::at 0
    set ::transfer::sent {}
    fileevent $c writable [list transfer::More $c $mb]
    vwait ::transfer::sent
    return $::transfer::sent
}

# A sixteenth of a megabyte for each event.
proc transfer::More {c mb} {
    variable at
    variable crc
    variable data
    if {$at == $mb * 16} {
        fileevent $c writable {}
        close $c write
        set ::transfer::sent [list [expr {$mb << 20}] $crc]
        return
    }
    set part [expr {$at % 16}]
    if {$part == 0} {set data [Megabyte [expr {$at / 16}]]}
    set piece [string range $data [expr {$part << 16}] [expr {($part + 1 << 16) - 1}]]
    set crc [zlib crc32 $piece $crc]
    puts -nonewline $c $piece
    incr at
}

proc transfer::Receive-fileevent {c} {
    set ::transfer::rcrc 0
    set ::transfer::count 0
    set ::transfer::received {}
    fileevent $c readable [list transfer::Take $c]
    vwait ::transfer::received
    return $::transfer::received
}

proc transfer::Take {c} {
    variable rcrc
    variable count
    if {[catch {read $c 131072} data]} {
        fileevent $c readable {}
        set ::transfer::received [list $count "error: $data"]
        return
    }
    set rcrc [zlib crc32 $data $rcrc]
    incr count [string length $data]
    if {[eof $c]} {
        fileevent $c readable {}
        set ::transfer::received [list $count $rcrc]
    }
}

# chan copy hides the bytes from the script: a file of 16 MB, again and again,
# on one end, a checksumming process on the other.
proc transfer::Send-copy {c mb} {
    set name [file join [support::tmp] transfer-[pid]]
    set f [open $name w+b]
    for {set i 0} {$i < 16} {incr i} {puts -nonewline $f [Megabyte $i]}
    set total 0
    set sum [open "|cksum" r+b]
    for {set left $mb} {$left > 0} {incr left -16} {
        set size [expr {min($left, 16) << 20}]
        seek $f 0
        chan copy $f $sum -size $size
        seek $f 0
        chan copy $f $c -size $size -command {lappend ::transfer::copied}
        vwait ::transfer::copied
        incr total [lindex $::transfer::copied 0]
        if {[llength $::transfer::copied] > 1} {error [lindex $::transfer::copied 1]}
        unset ::transfer::copied
    }
    close $c write
    close $f
    file delete $name
    close $sum write
    set digest [lindex [read $sum] 0]
    close $sum
    return [list $total $digest]
}

proc transfer::Receive-copy {c} {
    set sum [open "|cksum" r+b]
    chan copy $c $sum -command {lappend ::transfer::taken}
    vwait ::transfer::taken
    set taken $::transfer::taken
    unset ::transfer::taken
    close $sum write
    set digest [lindex [read $sum] 0]
    close $sum
    return [list [lindex $taken 0] [join [linsert [lrange $taken 1 end] 0 $digest]]]
}

# --- memory --------------------------------------------------------------------

# Start watching this process's peak; returns what it has now, in KB.
proc transfer::mark {} {
    set f [open /proc/self/clear_refs w]
    puts $f 5
    close $f
    return [rss]
}

# How far the peak went above MARK, in KB.
proc transfer::growth {mark} {
    set f [open /proc/self/status]
    regexp {VmHWM:\s+(\d+)} [read $f] -> peak
    close $f
    return [expr {$peak - $mark}]
}
