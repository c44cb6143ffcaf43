# The operations of a random sequence. Each is total: where it cannot be done
# it does nothing, by a decision that depends on the sequence alone. Each
# returns what goes to the trace.

proc ends::Op.up {side} {
    Up
}

proc ends::Op.pump {side} {
    Turn 5
}

proc ends::Op.settle {side} {
    Settle $side
    Settle [peer $side]
    return [Flags]
}

# What can be seen of both ends when all is quiet.
proc ends::Flags {} {
    variable S
    set flags {}
    foreach side {c s} {
        if {$S($side,open) && !$S($side,broken)} {
            set chan $S($side,chan)
            lappend flags [list $side eof [eof $chan] error [fconfigure $chan -error]]
        }
    }
    return $flags
}

# --- writing -------------------------------------------------------------------

proc ends::Op.write {side size offset parts} {
    variable S
    set chan $S($side,chan)
    if {!$S($side,w)} {return [Try $side {puts -nonewline $chan [pipe::content $size $offset]}]}
    set size [Bounded $side $size $parts]
    Room $side [expr {$size * $parts * 2}]
    if {$size * $parts + $::pipe::P($side,load) > 12000000} return
    if {!$S([peer $side],open)} {
        # Tcl 9.0.1 panics (BUFFER_PADDING not enough) where writing of encoded text fails, on plain sockets too
        if {$S($side,enc) eq "utf-8"} return
        Break $side
    }
    for {set i 0} {$i < $parts} {incr i} {
        Put $side [pipe::content $size [expr {$offset + $i * 77}]]
    }
    return
}

# How much may be on its way where one side's buffers are of this size: many
# small segments overrun what Linux keeps for a socket, and take their time.
proc ends::Capacity {buffersize} {
    return [expr {$buffersize < 1000 ? 100 * $buffersize : 2000 * $buffersize}]
}

# SIZE, or less where the buffers of either side are small.
proc ends::Bounded {side size {parts 1}} {
    variable S
    set limit [Capacity [expr {min($S(c,buffersize), $S(s,buffersize))}]]
    return [expr {max(0, min($size, $limit - $::pipe::P($side,load)) / $parts)}]
}

proc ends::Put {side chars} {
    variable S
    set chan $S($side,chan)
    if {$S($side,broken)} {
        catch {puts -nonewline $chan $chars; flush $chan}
        return
    }
    set bytes [pipe::encode $chars $S($side,out)]
    set clean [pipe::flushed $side]
    # before the event loop can bring it to the other side
    pipe::write $side $bytes $S($side,out)
    puts -nonewline $chan [pipe::text $chars $S($side,enc)]
    # Tcl counts what it flushes: when there was something in the buffer already, as much of this may stay there
    if {!$clean} return
    switch [fconfigure $chan -buffering] {
        none {pipe::flush $side}
        line {
            set at [string last \n [string range $bytes end-80000 end]]
            if {$at >= 0} {pipe::flush $side [expr {min([string length $bytes], 80001) - $at - 1}]}
        }
    }
}

proc ends::Op.flush {side} {
    variable S
    if {!$S($side,w)} {return [Try $side {flush $S($side,chan)}]}
    Room $side 0
    Flush $side
    return
}

proc ends::Op.halfclose {side how} {
    variable S
    variable W
    set chan $S($side,chan)
    if {!$S($side,w)} {return [Try $side {close $chan write}]}
    if {$S($side,broken)} return
    Ending $side
    fileevent $chan writable {}
    set S($side,wh) 0
    if {$how eq "tls" && $W(kind) ne "plain"} {
        twapi::tls_close $chan write
    } else {
        close $chan write
    }
    set S($side,w) 0
    pipe::end $side
    # while output is still on its way Tcl goes on to take more, and closes only then
    if {$S($side,late)} {Settle $side}
    Wait {[llength [fconfigure $chan -translation]] == 1} {the half is closed}
    return
}

proc ends::Op.writable {side count} {
    variable S
    set r [Try $side {fileevent $S($side,chan) writable [list ends::Writable $side]}]
    if {[lindex $r 0] eq "ok"} {set S($side,wh) $count}
    return $r
}

proc ends::Writable {side} {
    variable S
    variable W
    if {![IsUp $side] && $W(fault) eq {}} {set W(fault) "writable, but the connection is not open"}
    if {[incr S($side,wh) -1] <= 0} {fileevent $S($side,chan) writable {}}
}

# Write COUNT pieces of SIZE by a writable handler while the peer reads.
proc ends::Op.stream {side size offset count} {
    variable S
    if {!$S($side,w) || $S($side,broken) || !$S([peer $side],open)} return
    Unblock
    set size [Bounded $side $size $count]
    if {$::pipe::P(alphabet) eq "text"} {set size [expr {min($size, 5000)}]}
    set S($side,wh) 0
    set ::ends::streaming $count
    fileevent $S($side,chan) writable [list ends::Stream $side $size $offset]
    Wait {[ends::Drain [ends::peer $side]] && $::ends::streaming <= 0} {a writable handler writes all it has}
    return
}

proc ends::Stream {side size offset} {
    variable S
    variable W
    set n [incr ::ends::streaming -1]
    if {$n <= 0} {fileevent $S($side,chan) writable {}}
    if {[catch {Put $side [pipe::content $size [expr {$offset + $n}]]} msg] && $W(fault) eq {}} {
        set W(fault) "in a writable handler: $msg"
    }
}

# --- reading -------------------------------------------------------------------

# Up to N characters of what is on its way for certain.
proc ends::Op.take {side n} {
    variable S
    variable W
    set w [peer $side]
    if {$S($side,rh) ne {}} {
        # the handlers compete for what there is
        if {!$S($side,blocking)} {Read $side $n}
        return
    }
    # Nothing is asked for: whether something has come by now is a matter of time.
    if {$n == 0} {
        Read $side 0
        return
    }
    set n [expr {min($n, [pipe::sure $w])}]
    if {$n > 0} {
        if {$S($side,blocking)} {
            InKernel $w
            if {[string length [Read $side $n]] != $n && !$::pipe::P($w,lax)} {Fail "a blocking read of $n returned less"}
        } else {
            set ::ends::taking $n
            Wait {[incr ::ends::taking -[string length [ends::Read $side $::ends::taking]]] <= 0 || $::pipe::P($w,lax)} \
                {$::ends::taking of $n characters can be read}
        }
        set blocked -
    } elseif {$S($side,blocking)} {
        return
    } else {
        if {$::pipe::P($w,ended) || $::pipe::P($w,sure) < [string length $::pipe::P($w,wire)]} {
            # it may or may not come now
            Read $side 10
            set S($side,loose) 1
            return
        }
        Read $side 10
        set blocked [fblocked $S($side,chan)]
    }
    if {$S($side,broken) || $S($side,loose)} return
    return [list eof [eof $S($side,chan)] blocked $blocked]
}

proc ends::Op.gets {side} {
    variable S
    variable W
    set w [peer $side]
    if {$S($side,rh) ne {} || $::pipe::P($w,lax) || ![HasLines $w]} return
    if {[pipe::line $w] < 0 && [pipe::sure $w] < [pipe::left $w] && $S($w,w) && $S($w,open)} {
        Room $w 0
        Flush $w
    }
    set n [pipe::line $w]
    if {$n < 0} {
        if {$S($side,blocking) || $::pipe::P($w,ended)} return
        # nothing, or half a line
        lassign [Gets $side] got
        if {$got >= 0} {Fail "gets returned a line of $got where none is whole"}
        set flags [list eof [eof $S($side,chan)] blocked [fblocked $S($side,chan)]]
        Rest $side
        if {$S($side,loose)} return
        return $flags
    }
    if {$S($side,blocking)} {
        InKernel $w
        lassign [Gets $side] got
        if {$got != $n} {Fail "a blocking gets returned $got, not $n"}
    } else {
        Wait {[set got [lindex [ends::Gets $side] 0]] >= 0} {a line can be read}
        if {$got != $n} {Fail "gets returned $got, not $n"}
    }
    if {$S($side,loose)} return
    return [list eof [eof $S($side,chan)]]
}

proc ends::Op.readall {side} {
    variable S
    set w [peer $side]
    if {$S($side,blocking) || $S($side,rh) ne {}} return
    set S($side,loose) 1
    Wait {[ends::Read $side; pipe::sure $w] == 0 || $::pipe::P($w,lax)} {all that was flushed comes}
    return
}

# After gets has seen half a line, Tcl fires no event for it: read it.
proc ends::Rest {side} {
    variable S
    set w [peer $side]
    if {$S($side,blocking)} Unblock
    Wait {[ends::Read $side; pipe::sure $w] == 0 || $::pipe::P($w,lax)} {the rest of a line comes}
}

proc ends::Op.readable {side type {k {}}} {
    variable S
    if {$S($side,blocking) && $::pipe::P(alphabet) eq "text"} Unblock
    if {$S($side,half)} {Rest $side}
    set S($side,half) [expr {$type eq "gets"}]
    set S($side,rh) [list $type $k]
    set S($side,ateof) 0
    set S($side,loose) 1
    fileevent $S($side,chan) readable [list ends::Readable $side]
    return
}

proc ends::Op.quiet {side} {
    variable S
    if {$S($side,chan) eq {}} return
    fileevent $S($side,chan) readable {}
    set S($side,rh) {}
    return
}

# --- settings --------------------------------------------------------------------

proc ends::Op.blocking {side flag} {
    variable S
    if {$flag} {
        if {$S([peer $side],late)} return
        foreach w {c s} {
            if {$::pipe::P($w,load) > $::ends::light} {
                Unblock
                Settle $w
            }
        }
        # half a character makes a channel readable, but a read of one would block
        if {$::pipe::P(alphabet) eq "text"} {Op.quiet $side}
    }
    fconfigure $S($side,chan) -blocking $flag
    set S($side,blocking) $flag
    return [fconfigure $S($side,chan) -blocking]
}

proc ends::Op.buffering {side value} {
    variable S
    fconfigure $S($side,chan) -buffering $value
    return [fconfigure $S($side,chan) -buffering]
}

proc ends::Op.buffersize {side value} {
    variable S
    foreach w {c s} {
        while {[Capacity $value] < $::pipe::P($w,load)} {set value [expr {$value * 10}]}
    }
    fconfigure $S($side,chan) -buffersize $value
    set S($side,buffersize) $value
    return [fconfigure $S($side,chan) -buffersize]
}

proc ends::Op.mode {side enc in out} {
    variable S
    set w [peer $side]
    # what is decoded by one mode, and what by the other, must not be a matter of time
    if {$S($side,rh) ne {} || $S($side,loose)} {
        if {!$::ends::W(up)} Up
        if {$::pipe::P($w,load) > $::ends::light} Unblock
        Settle $w
        if {!$S($side,open)} return
    }
    if {![pipe::mode $w $enc $in]} return
    set S($side,enc) $enc
    set S($side,out) $out
    set chan $S($side,chan)
    if {$enc eq "binary"} {fconfigure $chan -translation binary} else {fconfigure $chan -encoding $enc}
    fconfigure $chan -translation [list $in $out]
    return [list [fconfigure $chan -encoding] [fconfigure $chan -translation]]
}

proc ends::Op.look {side} {
    variable S
    set chan $S($side,chan)
    set w [peer $side]
    set pending [chan pending input $chan]
    if {$pending > $::pipe::P($w,load) && !$::pipe::P($w,lax)} {Fail "$pending bytes pending, more than were written"}
    if {[set n [chan pending output $chan]] > $::pipe::P($side,load) && !$S($side,broken)} {
        Fail "$n bytes pending for output, more than were written"
    }
    if {[eof $chan]} {Got $side {}}
    set seen {}
    foreach option {-buffering -buffersize -blocking -encoding -eofchar -translation} {
        lappend seen [fconfigure $chan $option]
    }
    return $seen
}

# --- ending ------------------------------------------------------------------------

# Close one end when it has read all, so that no reset destroys what it has sent.
proc ends::Op.close {side} {
    variable S
    variable W
    set w [peer $side]
    # without anything to send, TLS may give a connection up that is not open yet
    if {!$W(up) && ($W(touched) || $::pipe::P($side,load) == 0)} Up
    if {$W(up)} {
        if {$::pipe::P($w,load) > $::ends::light} Unblock
        Settle $w
    }
    if {!$S($side,open)} return
    Ending $side
    Close $side
    return
}

proc ends::Close {side} {
    variable S
    if {!$S($side,open)} return
    set S($side,open) 0
    if {$S($side,broken)} {
        catch {close $S($side,chan)}
    } else {
        close $S($side,chan)
    }
    if {$S($side,w)} {pipe::end $side}
    set S($side,w) 0
}

# A handler closes its own channel.
proc ends::Op.closer {side event} {
    variable S
    set w [peer $side]
    if {!$S($w,open) || $S($side,broken) || $event eq "readable" && !$S($w,w) || $event eq "writable" && !$S($side,w)} return
    Unblock
    if {$event eq "writable"} {Settle $side}
    Settle $w
    if {!$S($side,open)} return
    Op.quiet $side
    if {$event eq "readable"} {
        Put $w [pipe::content 10 0]
        Flush $w
    }
    fileevent $S($side,chan) $event [list ends::Closer $side $event]
    Wait {!$::ends::S($side,open)} {the handler closes its channel}
    return
}

proc ends::Closer {side event} {
    variable S
    variable W
    set w [peer $side]
    if {[catch {
        if {$event eq "readable"} {Read $side}
        if {[pipe::left $w] == 0} {Close $side}
    } msg] && $W(fault) eq {}} {
        set W(fault) "in a handler that closes: $msg"
    }
}

proc ends::Op.finish {side how} {
    variable S
    set other [peer $side]
    set trace {}
    foreach w {c s} {
        if {$::pipe::P($w,load) > $::ends::light} {
            Unblock
            # where both have much to send and close, neither reads, plain or not
            if {$how eq "settle" || $w eq "s"} {Settle $w}
        }
    }
    if {$how eq "settle"} {
        Settle c
        Settle s
        set trace [Flags]
        Close $side
        Settle $side
        if {$S($other,open) && !$S($other,broken)} {lappend trace [eof $S($other,chan)]}
        Close $other
    } else {
        # who is closed with data unread may reset the other
        Close $side
        set S($other,broken) 1
        Close $other
    }
    return $trace
}
