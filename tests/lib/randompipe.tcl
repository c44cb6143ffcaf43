# The model of one direction of a connection: bytes that went in at one side
# and come out at the other, in order, and after them the end.
#
# A direction bears the name of the side that writes, c or s. Positions are
# in characters as the reader decodes them, counts of the wire in bytes.

namespace eval pipe {
    variable P
    array set P {}
    variable blocks
    array set blocks {}
}

proc pipe::reset {alphabet} {
    variable P
    array unset P
    set P(alphabet) $alphabet
    foreach w {c s} {
        # wire: written and not dropped; sure: so much of it has been flushed; pos: so far the reader is;
        # load: written since the last time all was read; lax: the model knows no more what
        # arrives; lf: some lines may end in \n alone
        array set P [list $w,wire {} $w,sure 0 $w,pos 0 $w,load 0 $w,ended 0 $w,lax 0 $w,lf 0 $w,enc binary $w,trans lf]
    }
}

# --- content ------------------------------------------------------------------

# SIZE characters of the content of all writes, from OFFSET (modulo its length) on.
proc pipe::content {size offset} {
    variable P
    variable blocks
    set alphabet $P(alphabet)
    if {![info exists blocks($alphabet)]} {set blocks($alphabet) [Make $alphabet]}
    set at [expr {$offset % ([string length $blocks($alphabet)] - $size)}]
    return [string range $blocks($alphabet) $at [expr {$at + $size - 1}]]
}

proc pipe::Make {alphabet} {
    random::Seed 1 1
    if {$alphabet eq "bytes"} {
        set words {}
        for {set i 0} {$i < 32768} {incr i} {lappend words [random::below 65536]}
        set base [binary format s* $words]
        # no two parts alike, so that a part lost or moved shows
        set block {}
        for {set i 0} {$i < 80} {incr i} {append block [binary format I $i] $base}
        return $block
    }
    set block {}
    while {[string length $block] < 100000} {
        append block [string repeat [random::pick a b \u00e9 \u4e16 { }] [random::below 9]]
        if {![random::below 6]} {append block [random::below 10000] \n}
    }
    return $block
}

# CHARS as they are written to a channel with this encoding: one for bytes gets bytes.
proc pipe::text {chars enc} {
    variable P
    if {$P(alphabet) eq "bytes" || $enc eq "utf-8"} {return $chars}
    return [encoding convertto utf-8 $chars]
}

# The bytes that become of CHARS in a channel with this output translation.
proc pipe::encode {chars trans} {
    variable P
    if {$P(alphabet) eq "bytes"} {return $chars}
    if {$trans eq "crlf"} {set chars [string map [list \n \r\n] $chars]}
    return [encoding convertto utf-8 $chars]
}

# --- the writer's end ---------------------------------------------------------

proc pipe::write {w bytes trans} {
    variable P
    append P($w,wire) $bytes
    if {$trans ne "crlf" && $bytes ne {}} {set P($w,lf) 1}
    incr P($w,load) [string length $bytes]
    unset -nocomplain P($w,chars)
}

# All that was written, or all but the last BUT bytes of it, is on its way.
proc pipe::flush {w {but 0}} {
    variable P
    set P($w,sure) [expr {max($P($w,sure), [string length $P($w,wire)] - $but)}]
}

# Whether all that was written has been flushed.
proc pipe::flushed {w} {
    variable P
    return [expr {$P($w,sure) == [string length $P($w,wire)]}]
}

proc pipe::end {w} {
    variable P
    flush $w
    set P($w,ended) 1
}

# --- the reader's end -----------------------------------------------------------

proc pipe::Chars {w} {
    variable P
    if {$P(alphabet) eq "bytes"} {return $P($w,wire)}
    if {![info exists P($w,chars)]} {set P($w,chars) [Decode $w $P($w,wire)]}
    return $P($w,chars)
}

proc pipe::Decode {w bytes} {
    variable P
    if {$P($w,enc) eq "utf-8"} {set bytes [encoding convertfrom utf-8 $bytes]}
    if {$P($w,trans) eq "crlf"} {set bytes [string map [list \r\n \n] $bytes]}
    return $bytes
}

# How many characters there are still to be read, all in all.
proc pipe::left {w} {
    variable P
    return [expr {[string length [Chars $w]] - $P($w,pos)}]
}

# How many of them are on their way for certain.
proc pipe::sure {w} {
    variable P
    if {$P(alphabet) eq "bytes"} {
        set n $P($w,sure)
    } elseif {$P($w,sure) == [string length $P($w,wire)]} {
        set n [string length [Chars $w]]
    } else {
        set n [string length [Decode $w [string range $P($w,wire) 0 $P($w,sure)-1]]]
    }
    return [expr {max(0, $n - $P($w,pos))}]
}

# What the next N characters must be.
proc pipe::next {w n} {
    variable P
    return [string range [Chars $w] $P($w,pos) [expr {$P($w,pos) + $n - 1}]]
}

# Whether gets finds the ends of lines (by crlf translation it knows no others).
proc pipe::haslines {w} {
    variable P
    return [expr {$P($w,trans) ne "crlf" || !$P($w,lf)}]
}

# The length of the line that comes next, its newline not counted; -1: none is on its way as a whole.
proc pipe::line {w} {
    # a search makes a string of what it searches: let it be a copy, and a short one; the content has no longer lines
    return [string first \n [next $w [expr {min([sure $w], 80000)}]]]
}

# How many characters the complete lines have that are on their way.
proc pipe::lines {w} {
    set n [sure $w]
    set tail [string range [next $w $n] end-80000 end]
    return [expr {[string last \n $tail] < 0 ? 0 : $n - [string length $tail] + [string last \n $tail] + 1}]
}

# The reader has read DATA: returns what is wrong with that, if anything.
proc pipe::read {w data} {
    variable P
    set n [string length $data]
    if {$n == 0 || $P($w,lax)} {return {}}
    if {$n > [left $w]} {return "$n characters read where only [left $w] can be"}
    set want [next $w $n]
    if {![string equal $data $want]} {
        for {set i 0} {[string index $data $i] eq [string index $want $i]} {incr i} {}
        return "wrong data $i characters into a read of $n: [Show $data $i], not [Show $want $i]"
    }
    incr P($w,pos) $n
    if {$P(alphabet) eq "bytes" && $P($w,pos) > 200000 && $P($w,pos) > [string length $P($w,wire)] / 2} {compact $w}
    return {}
}

proc pipe::Show {data i} {
    binary scan [encoding convertto utf-8 [string range $data $i $i+11]] H* hex
    return $hex
}

# Drop what has been read, so that the reader may take another mode.
proc pipe::compact {w} {
    variable P
    if {$P($w,pos) == 0} return
    set n $P($w,pos)
    if {$P(alphabet) ne "bytes"} {
        set raw $P($w,wire)
        if {$P($w,enc) eq "utf-8"} {set raw [encoding convertfrom utf-8 $raw]}
        if {$P($w,trans) eq "crlf"} {set n [Untranslated $raw $n]}
        if {$P($w,enc) eq "utf-8"} {set n [string length [encoding convertto utf-8 [string range $raw 0 $n-1]]]}
    }
    set P($w,wire) [string range $P($w,wire) $n end]
    set P($w,sure) [expr {max(0, $P($w,sure) - $n)}]
    set P($w,pos) 0
    unset -nocomplain P($w,chars)
}

# How many characters of RAW become N when each \r\n becomes \n.
proc pipe::Untranslated {raw n} {
    set count 0
    set at 0
    while {1} {
        set next [string first \r\n $raw $at]
        if {$next < 0 || $next - $at + $count >= $n} {return [expr {$at + $n - $count}]}
        incr count [expr {$next - $at + 1}]
        set at [expr {$next + 2}]
    }
}

# The reader changes its mode. Returns 0, and does nothing, where the rest of
# the wire starts in the middle of a character.
proc pipe::mode {w enc trans} {
    variable P
    compact $w
    if {$enc eq "utf-8" && [binary scan $P($w,wire) cu first] && ($first & 0xc0) == 0x80} {return 0}
    set P($w,enc) $enc
    set P($w,trans) $trans
    unset -nocomplain P($w,chars)
    return 1
}
