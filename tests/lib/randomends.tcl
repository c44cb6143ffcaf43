# The two ends of a connection, c and s, and what a sequence does to them.
# What each operation must bring about comes from the model (randompipe.tcl),
# on a plain socket as well as on TLS; what the model does not say (errors,
# settings, flags) goes to a trace, to be compared between the two.

namespace eval ends {
    variable S
    array set S {}
    variable W
    array set W {listener,plain {} listener,tls {} accepted {} patience 10000 verbose 0}
    # Load up to which the kernel takes all without a reader, so that blocking operations do not block.
    variable light 16384
    # Operations that a channel stands before its connection is open.
    variable early {write flush readable quiet writable buffering buffersize mode pump look close up take}
}

proc ends::peer {side} {
    return [expr {$side eq "c" ? "s" : "c"}]
}

# --- running a sequence --------------------------------------------------------

# Perform OPS on a connection of KIND; returns the trace. Any difference from
# the model is an error with errorCode DIFFERENCE.
proc ends::run {kind alphabet ops} {
    variable S
    variable W
    pipe::reset $alphabet
    array unset S
    array set W [list kind $kind fault {} accepted {} op {} trace {} up 0 touched 0]
    foreach side {c s} {
        array set S [list $side,chan {} $side,open 1 $side,w 1 $side,blocking 0 $side,enc binary $side,out lf \
            $side,rh {} $side,ateof 0 $side,wh 0 $side,loose 0 $side,depth 0 $side,broken 0 $side,half 0 $side,late 0 $side,buffersize 4096]
    }
    try {
        Scratch
        Listen $kind
        # the notifier opens its own descriptors when it first waits
        idle 1
        set before [Descriptors]
        Open $kind
        set n 0
        foreach op $ops {
            set W(op) "operation $n: $op"
            if {$W(verbose)} {puts stdout "  $kind $W(op)"}
            Perform $n {*}$op
            incr n
        }
        set W(op) afterwards
        if {!$W(up)} Up
        Drop
        # less than what a closed end waits for one that does not close
        Wait {[ends::Descriptors] <= $before} {the descriptors are closed} 8000
    } trap DIFFERENCE {msg} {
        throw DIFFERENCE "$kind, $W(op): $msg"
    } trap {} {msg opts} {
        throw DIFFERENCE "$kind, $W(op): $msg\n[dict get $opts -errorinfo]"
    } finally {
        Drop
    }
    return $W(trace)
}

# Close all that is open.
proc ends::Drop {} {
    variable S
    variable W
    foreach chan [list $S(c,chan) $S(s,chan) $W(accepted)] {
        catch {fconfigure $chan -blocking 0}
        catch {close $chan}
    }
    take_bgerrors
}

proc ends::Descriptors {} {
    return [llength [glob -nocomplain /proc/self/fd/*]]
}

proc ends::Perform {n name side args} {
    variable S
    variable W
    variable early
    if {!$S($side,open) && $name ni {settle pump finish up}} return
    if {$side eq "s" || $name ni $early} {set W(touched) 1}
    if {!$W(up) && ($name ni $early || $side eq "s" && $S(s,chan) eq {})} Up
    set traced [Op.$name $side {*}$args]
    Faults
    if {$traced ne {} && !$S($side,broken)} {lappend W(trace) [list $n $name $side {*}$traced]}
}

# Close what all runs share.
proc ends::done {} {
    variable W
    variable scratch
    foreach k {plain tls} {
        if {$W(listener,$k) ne {}} {close $W(listener,$k)}
        set W(listener,$k) {}
    }
    if {[info exists scratch]} {close $scratch}
    unset -nocomplain scratch
}

# --- opening -------------------------------------------------------------------

# One listener serves all runs.
proc ends::Listen {kind} {
    variable W
    set k [expr {$kind in {plain starttls} ? "plain" : "tls"}]
    if {$W(listener,$k) eq {}} {
        set W(listener,$k) [listen [expr {$k eq "tls" ? "tls13" : "plain"}] ends::Accepted]
    }
    set W(port) [port $W(listener,$k)]
}

proc ends::Open {kind} {
    variable S
    variable W
    set port $W(port)
    if {$kind eq "starttls"} {
        set c [dial plain $port]
        fconfigure $c -blocking 0
        set S(c,chan) $c
        Wait {$::ends::W(accepted) ne {} && ![fconfigure $c -connecting]} {a connection}
        set S(c,chan) [twapi::starttls $c -peersubject localhost]
        set s $W(accepted)
        set W(accepted) {}
        fconfigure $s -blocking 0
        set S(s,chan) [twapi::starttls $s -server -credentials [credentials server]]
        Begin s
    } else {
        set S(c,chan) [dial $kind $port]
    }
    Begin c
}

proc ends::Begin {side} {
    variable S
    fconfigure $S($side,chan) -blocking 0 -translation binary -buffering full -buffersize 4096
}

proc ends::Accepted {chan args} {
    variable S
    variable W
    if {$W(kind) eq "starttls" || $S(s,chan) ne {}} {
        set W(accepted) $chan
    } else {
        set S(s,chan) $chan
        Begin s
    }
}

# Wait until both ends are open.
proc ends::Up {} {
    variable S
    variable W
    Wait {$::ends::S(s,chan) ne {} && [ends::IsUp s] && [ends::IsUp c]} {an open connection}
    set W(up) 1
}

proc ends::IsUp {side} {
    variable S
    variable W
    if {!$S($side,open)} {return 1}
    if {$W(kind) eq "plain"} {return [expr {![fconfigure $S($side,chan) -connecting]}]}
    return [expr {[twapi::tls_state $S($side,chan)] eq "OPEN"}]
}

# --- waiting and failing ---------------------------------------------------------

proc ends::Fail {msg} {
    throw DIFFERENCE $msg
}

proc ends::Faults {} {
    variable W
    if {$W(fault) ne {}} {Fail $W(fault)}
    set errors [take_bgerrors]
    if {[llength $errors]} {Fail "background error: [join $errors {; }]"}
}

# Some turns of the event loop. Not "update": that never ends where a socket is
# writable for select but takes nothing, as Linux's can be when their memory is full.
proc ends::Turn {{turns 1} {ms 0}} {
    variable turned
    variable turn
    while {[incr turns -1] >= 0} {
        set id [incr turn]
        after $ms [list set ::ends::turned($id) 1]
        vwait ::ends::turned($id)
        unset turned($id)
    }
}

# Run the event loop until the expression holds.
proc ends::Wait {condition what {patience {}}} {
    variable W
    if {$patience eq {}} {set patience $W(patience)}
    set end [expr {[clock milliseconds] + $patience}]
    set quick 50
    while {1} {
        Turn
        Faults
        if {[uplevel 1 [list expr $condition]]} return
        if {[incr quick -1] < 0} {
            if {[clock milliseconds] > $end} {
                # the text may name variables and commands of the caller
                Fail "in $patience ms not: [uplevel 1 [list subst $what]]"
            }
            Turn 1 1
        }
    }
}

# SCRIPT as it comes: {ok RESULT}, or {error ERRORCODE MESSAGE} with the channel's name left out.
proc ends::Try {side script} {
    variable S
    if {![catch {uplevel 1 $script} result opts]} {return [list ok $result]}
    return [list error [dict get $opts -errorcode] [string map [list $S($side,chan) CHAN] $result]]
}

# --- reading ----------------------------------------------------------------------

# DATA was read at SIDE: compare, and judge the end of file that may be seen with it.
proc ends::Got {side data} {
    variable S
    variable W
    set w [peer $side]
    set wrong [pipe::read $w $data]
    if {$wrong ne {}} {Fail $wrong}
    if {[eof $S($side,chan)] && !$::pipe::P($w,lax)} {
        if {!$::pipe::P($w,ended)} {Fail "end of file, but the peer has not ended"}
        if {[pipe::left $w]} {Fail "end of file with [pipe::left $w] characters still to come"}
    }
}

# Read up to N characters (-1: all there is), errors being differences unless the model is out.
proc ends::Read {side {n -1}} {
    variable S
    set chan $S($side,chan)
    if {[catch {if {$n < 0} {read $chan} else {read $chan $n}} data opts]} {
        if {$::pipe::P([peer $side],lax)} {return {}}
        Fail "read raised: $data ([dict get $opts -errorcode])"
    }
    Got $side $data
    return $data
}

# Whether gets is to be trusted with what comes from W: Tcl's own stumbles over
# half a character, and there is none while all fits into one buffer.
proc ends::HasLines {w} {
    variable S
    return [expr {[pipe::haslines $w]
        && ($::pipe::P($w,enc) ne "utf-8" || $::pipe::P($w,load) <= min($S(c,buffersize), $S(s,buffersize)))}]
}

# A line as the next data: {RESULT-OF-GETS LINE}.
proc ends::Gets {side} {
    variable S
    set w [peer $side]
    set chan $S($side,chan)
    if {[catch {gets $chan line} n opts]} {
        if {$::pipe::P($w,lax)} {return {-1 {}}}
        Fail "gets raised: $n ([dict get $opts -errorcode])"
    }
    if {$n < 0} {
        Got $side {}
    } elseif {[pipe::left $w] == $n && $::pipe::P($w,ended)} {
        Got $side $line
    } else {
        Got $side $line\n
    }
    return [list $n $line]
}

proc ends::Readable {side} {
    variable S
    variable W
    if {[catch {ReadableNow $side} msg opts]} {
        if {[dict get $opts -errorcode] ne "DIFFERENCE"} {set msg [dict get $opts -errorinfo]}
        if {$W(fault) eq {}} {set W(fault) "in a readable handler: $msg"}
        # or it would fire for ever
        catch {fileevent $S($side,chan) readable {}}
    }
}

proc ends::ReadableNow {side} {
    variable S
    set w [peer $side]
    set chan $S($side,chan)
    lassign $S($side,rh) type k
    if {$S($side,blocking)} {
        # a blocking read may ask for no more than the event promises
        set type part
        set k 1
    } elseif {$k ne {}} {
        set k [expr {max($k, [pipe::left $w] / 500)}]
    }
    if {$type eq "gets" && ![HasLines $w]} {set type all}
    switch $type {
        all {set data [Read $side]}
        gets {set data [Gets $side]}
        default {set data [Read $side $k]}
    }
    if {!$S($side,open)} return
    if {[eof $chan]} {
        set S($side,ateof) 1
        fileevent $chan readable {}
    } elseif {$data eq {} && $::pipe::P($w,enc) ne "utf-8" && $::pipe::P($w,trans) eq "lf" && !$::pipe::P($w,lax)} {
        Fail "a readable event without cause"
    } elseif {$type eq "again"} {
        fileevent $chan readable {}
        after 0 [list ends::Again $side $S($side,rh)]
    } elseif {$type eq "nest" && $S($side,depth) < 3} {
        incr S($side,depth)
        Turn
        incr S($side,depth) -1
    }
}

proc ends::Again {side rh} {
    variable S
    if {[info exists S($side,open)] && $S($side,open) && $S($side,rh) eq $rh && !$S($side,ateof)} {
        fileevent $S($side,chan) readable [list ends::Readable $side]
    }
}

# What SIDE was sent and has not read: read it, unless handlers do.
proc ends::Drain {side} {
    variable S
    if {$S($side,open) && $S($side,chan) ne {} && $S($side,rh) eq {} && !$S($side,blocking)} {
        Read $side
        set S($side,loose) 1
    }
    return 1
}

# Let all that W writes be flushed and read, and see that it was just that.
proc ends::Settle {w} {
    variable S
    variable W
    set r [peer $w]
    if {$S($w,open) && $S($w,w)} {Flush $w}
    if {!$S($r,open)} return
    lassign $S($r,rh) type
    # Tcl itself fires no event for what is left when a read ended before half a character or half a line end.
    set alone [expr {$type eq {} || $::pipe::P($w,enc) eq "utf-8" || $::pipe::P($w,trans) eq "crlf"}]
    if {$type eq "gets" && !$S($r,blocking) && !$alone && [HasLines $w]} {
        Wait {[pipe::lines $w] == 0 || $::pipe::P($w,lax)} {all lines come to the handler}
        if {!$::pipe::P($w,ended)} {
            # half a line is for nobody's handler
            Wait {[ends::Read $r] eq {} && [pipe::left $w] == 0 || $::pipe::P($w,lax)} {the rest of the data comes}
        }
    } elseif {!$alone} {
        Wait {[pipe::left $w] == 0 || $::pipe::P($w,lax)} {[pipe::left $w] more characters come to the handler}
    } elseif {$S($r,blocking)} {
        InKernel $w
        Read $r [pipe::left $w]
    } else {
        Wait {[ends::Read $r; pipe::left $w] == 0 || $::pipe::P($w,lax)} {[pipe::left $w] more characters come}
    }
    if {$::pipe::P($w,ended) && !$::pipe::P($w,lax)} {
        if {!$alone} {
            Wait {$::ends::S($r,ateof)} {the end comes to the handler}
        } elseif {$S($r,blocking)} {
            Read $r 1
        } else {
            Wait {[ends::Read $r] eq {} && [eof $S($r,chan)]} {the end comes}
        }
        if {$alone && ![eof $S($r,chan)]} {Fail "no end of file"}
    }
    Turn 3
    Faults
    if {!$S($r,open)} return
    pipe::compact $w
    array set ::pipe::P [list $w,load 0 $w,lf 0]
    if {$S($r,rh) eq {}} {set S($r,loose) 0}
    if {!$::pipe::P($w,lax) && [set n [chan pending input $S($r,chan)]]} {Fail "$n bytes pending where all was read"}
    if {$S($w,open) && $S($w,w) && !$S($w,broken)} {
        Wait {[chan pending output $S($w,chan)] == 0} {nothing is pending for output}
    }
}

# Flush W, and wait until all is in the kernel's hands (the load is light).
proc ends::InKernel {w} {
    variable S
    if {$S($w,open) && $S($w,w)} {
        Flush $w
        Wait {[chan pending output $S($w,chan)] == 0} {nothing is pending for output}
    } else {
        Turn
    }
}

# --- writing -----------------------------------------------------------------------

proc ends::Flush {side} {
    variable S
    if {$S($side,broken)} {
        catch {flush $S($side,chan)}
    } else {
        flush $S($side,chan)
        pipe::flush $side
    }
}

# Before an operation that may need both ends to move: none of them blocks.
proc ends::Unblock {} {
    variable S
    foreach side {c s} {
        if {$S($side,open) && $S($side,blocking)} {
            fconfigure $S($side,chan) -blocking 0
            set S($side,blocking) 0
        }
    }
}

# Before COUNT bytes go out of SIDE.
proc ends::Room {side count} {
    variable light
    if {$::pipe::P($side,load) + $count > $light} Unblock
}

# Before SIDE ends: what it has written may be sent by and by in the background.
proc ends::Ending {side} {
    variable S
    variable W
    variable light
    Room $side 0
    if {$::pipe::P($side,load) > $light || !$W(up)} {set S($side,late) 1}
}

# SIDE writes to a peer that is gone: the model knows no more what becomes of
# that, and a plain socket may even reset what has come from there.
proc ends::Break {side} {
    variable S
    variable W
    set S($side,broken) 1
    if {$W(kind) eq "plain"} {set ::pipe::P([peer $side],lax) 1}
}

foreach f {randomops randomcopy} {source [file join $::support::lib $f.tcl]}
