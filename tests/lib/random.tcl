# Random sequences of channel operations: the generator. The same seed and
# number give the same sequence in every Tcl.
#
#   random::sequence SEED NUMBER   a dict: kind, alphabet, ops

namespace eval random {
    variable state 1
    # Operations and how often each comes up.
    variable weights {
        write 30 flush 8 take 16 gets 8 readall 6 pump 6 settle 4 readable 12 quiet 4 writable 5
        blocking 6 buffering 4 buffersize 3 mode 6 look 4 halfclose 3 copyout 3 copyin 2 stream 3
        closer 1 close 2
    }
}

proc random::Seed {seed number} {
    variable state
    set state [expr {($seed * 2654435761 + $number * 40503 + 12345) & 0xffffffff}]
    for {set i 0} {$i < 5} {incr i} {Next}
}

proc random::Next {} {
    variable state
    set state [expr {($state * 1664525 + 1013904223) & 0xffffffff}]
    # the low bits of such a generator repeat early
    return [expr {$state >> 8}]
}

# A number from 0 to N-1.
proc random::below {n} {
    return [expr {[Next] % $n}]
}

proc random::pick {args} {
    return [lindex $args [below [llength $args]]]
}

proc random::Weighted {weights} {
    set sum 0
    foreach {name weight} $weights {incr sum $weight}
    set at [below $sum]
    foreach {name weight} $weights {
        if {[incr at -$weight] < 0} {return $name}
    }
}

# A size: often small, often near the size of a TLS record, now and then large.
proc random::Size {alphabet} {
    switch [Weighted {none 5 few 30 some 30 record 15 more 8 much 4}] {
        none {return 0}
        few {return [expr {1 + [below 20]}]}
        some {return [below 2000]}
        record {return [expr {[pick 4096 8192 16384 16384 32768] - 3 + [below 7]}]}
        more {return [below [expr {$alphabet eq "text" ? 20000 : 200000}]]}
        much {return [expr {$alphabet eq "text" ? [below 40000] : [below 4000000]}]}
    }
}

proc random::Few {alphabet} {
    return [pick 1 1 2 7 100 1000 4096 [Size $alphabet]]
}

proc random::sequence {seed number} {
    variable weights
    Seed $seed $number
    set kind [Weighted {tls13 6 tls12 3 starttls 3}]
    set alphabet [Weighted {bytes 3 text 2}]
    set ops {}
    foreach side {c s} {
        if {[below 3]} {lappend ops [list buffersize $side [Buffersize]]}
        if {$alphabet eq "text"} {lappend ops [Operation mode $side $alphabet]}
    }
    # Connecting takes a while: what comes before is done to a channel that is not open yet.
    if {[below 3]} {
        set ops [lsearch -all -inline -not -index 1 $ops s]
        for {set i [below 6]} {$i > 0} {incr i -1} {
            set name [Weighted {write 10 flush 4 take 1 pump 2 readable 3 writable 4 buffering 2 mode 1 look 1}]
            lappend ops [Operation $name c $alphabet]
        }
        if {![below 8]} {lappend ops {close c}}
    } else {
        lappend ops {up c}
    }
    for {set i [expr {4 + [below 36]}]} {$i > 0} {incr i -1} {
        lappend ops [Operation [Weighted $weights] [pick c s] $alphabet]
    }
    lappend ops [list finish [pick c s] [Weighted {settle 5 abrupt 1}]]
    return [dict create kind $kind alphabet $alphabet ops $ops]
}

proc random::Buffersize {} {
    return [pick 10 100 1000 4096 4096 5000 16384 65536 100000]
}

# One operation: {NAME SIDE ARGS…}.
proc random::Operation {name side alphabet} {
    set op [list $name $side]
    switch $name {
        write {lappend op [Size $alphabet] [below 1000000] [pick 1 1 1 2 5]}
        take {lappend op [Few $alphabet]}
        readable {lappend op {*}[pick all all {part 1} {part 7} {part 1000} {again 1} {again 500} {nest 100} gets]}
        writable {lappend op [pick 1 2 5]}
        blocking {lappend op [pick 0 1]}
        buffering {lappend op [pick none line full]}
        buffersize {lappend op [Buffersize]}
        mode {
            if {$alphabet eq "bytes"} {
                lappend op [pick binary iso8859-1] lf lf
            } else {
                lappend op [pick binary utf-8 utf-8] [pick lf crlf] [pick lf crlf]
            }
        }
        halfclose {lappend op [pick close tls]}
        copyout {lappend op [pick end [Few $alphabet] [Size $alphabet]] [pick now later]}
        copyin {lappend op [Size $alphabet] [below 1000000] [pick now later later]}
        stream {lappend op [pick 1 100 5000 50000] [below 1000000] [pick 1 3 10]}
        closer {lappend op [pick readable writable]}
    }
    return $op
}
