#!/usr/bin/env tclsh
# https-get.tcl: fetch one address, to standard output or into a file, with a progress bar on a terminal.
#
# The work is done by Tcl's own http package; twapi::tls_socket gives it HTTPS.
package require Tcl 8.6-
package require http
package require twapi_crypto

set usage {usage: https-get.tcl ?options? URL

  -o FILE            into this file, which appears or is replaced only when all has arrived
  -ca FILE           trust the certificates in this PEM file, instead of the system's
  -timeout SECONDS   give up when nothing has come for so long; default 30
  -redirects N       how many redirections to follow; default 5
  -v                 tell about connection and certificate
  -quiet             no progress bar

Exit status: 0 all is well, 1 something else, 2 wrong usage, 3 no connection, 4 the server's certificate is refused,
5 the server answers with an error, 6 the file cannot be written, 7 not all has arrived.}

array set options {-o "" -ca "" -timeout 30 -redirects 5 -v 0 -quiet 0}

proc fail {status message} {
    clear_progress
    puts stderr "https-get: $message"
    exit $status
}

proc parse_options {words} {
    global options usage
    while {[string match -?* [lindex $words 0]]} {
        set words [lassign $words name]
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {$name in {-v -quiet}} {
            set options($name) 1
        } elseif {![info exists options($name)]} {
            fail 2 "there is no option $name; -help tells which there are"
        } elseif {![llength $words]} {
            fail 2 "option $name needs a value"
        } else {
            set words [lassign $words options($name)]
        }
    }
    if {[llength $words] != 1} {fail 2 "which URL?\n$usage"}
    foreach name {-timeout -redirects} {
        if {![string is integer -strict $options($name)] || $options($name) < 0} {fail 2 "option $name needs a number"}
    }
    return [lindex $words 0]
}

# --- the connection ---------------------------------------------------------------------------------------------------

# What the http package calls to connect. Without -async, so that what is wrong with the certificate is an error here.
proc connect {args} {
    try {
        set chan [twapi::tls_socket {*}[lsearch -all -inline -exact -not $args -async]]
    } trap TWAPI_WIN32 {message details} {
        # Most of these are about the certificate; the others are that the two sides do not understand each other.
        set refused {-2146893022 -2146893019 -2146893016 -2146885616 -2146892983 -2146893017}
        fail [expr {[lindex [dict get $details -errorcode] 1] in $refused ? 4 : 3}] $message
    } on error {message} {
        fail 3 $message
    }
    chan configure $chan -buffersize 65536
    if {$::options(-v)} {describe $chan}
    return $chan
}

proc describe {chan} {
    set info [twapi::tls_info $chan]
    tell connection "[dict get $info protocol], [dict get $info cipher], [dict get $info group]"
    set cert [twapi::sspi_remote_cert [chan configure $chan -context]]
    set facts [twapi::cert_info $cert]
    tell subject [dict get $facts -subject]
    tell issuer [dict get $facts -issuer]
    tell valid "[day [dict get $facts -start]] to [day [dict get $facts -end]]"
    tell names [join [lmap name [dict get $facts -altnames] {lindex $name 1}] ", "]
    tell key "[lindex [dict get $facts -publickey] 1] bits [dict get $facts -curve]"
    tell thumbprint [twapi::cert_thumbprint $cert]
    twapi::cert_release $cert
}

proc day {time} {
    return [clock format $time -format "%Y-%m-%d %H:%M UTC" -gmt 1]
}

proc tell {what text} {
    # What a server sends shall not steer the terminal.
    puts stderr [format "%-11s %s" $what [regsub -all {[[:cntrl:]]} $text ?]]
}

# --- progress ---------------------------------------------------------------------------------------------------------

set progress(bar) 0
set progress(shown) 0

# Standard error is a terminal where it can be asked for what only those have.
proc is_terminal {chan} {
    set settings [chan configure $chan]
    return [expr {[dict exists $settings -winsize] || [dict exists $settings -mode]}]
}

proc terminal_width {} {
    if {![catch {chan configure stderr -winsize} size] && [lindex $size 0] > 0} {return [lindex $size 0]}
    if {![catch {exec stty size < /dev/tty} size] && [lindex $size 1] > 0} {return [lindex $size 1]}
    return 80
}

# Called by the http package with each part that has arrived.
proc arrived {token total now} {
    global progress
    watch $token
    if {!$progress(bar)} return
    set time [clock milliseconds]
    # Ten times a second is enough to look at, and once a second to see whether the window has another size.
    if {$time - $progress(shown) < 100 && $now != $total} return
    if {$time / 1000 != $progress(shown) / 1000} {set progress(width) [terminal_width]}
    set progress(shown) $time
    set seconds [expr {max(($time - $progress(start)) / 1000.0, 0.001)}]
    set text "[octets $now], [octets [expr {$now / $seconds}]]/s"
    # The last column is left free: some terminals begin a new line there.
    set room [expr {$progress(width) - [string length $text] - 11}]
    if {$total > 0 && $room >= 5} {
        set done [expr {$room * $now / $total}]
        set bar [string repeat # $done][string repeat . [expr {$room - $done}]]
        set text "[format "%3d %%" [expr {100 * $now / $total}]] \[$bar\] $text"
    } elseif {$total > 0} {
        set text "[format "%3d %%" [expr {100 * $now / $total}]] $text"
    }
    puts -nonewline stderr "\r[string range $text 0 [expr {$progress(width) - 2}]]\x1b\[K"
    flush stderr
}

proc clear_progress {} {
    if {$::progress(shown)} {
        puts -nonewline stderr "\r\x1b\[K"
        set ::progress(shown) 0
    }
}

proc octets {n} {
    foreach unit {B kB MB GB TB} {
        if {$n < 1000} break
        set n [expr {$n / 1000.0}]
    }
    return "[format [expr {$unit eq "B" || $n >= 100 ? "%.0f" : "%.1f"}] $n] $unit"
}

# --- fetching ---------------------------------------------------------------------------------------------------------

# The time that nothing comes is limited, not the time that all takes.
proc watch {token} {
    after cancel $::watch
    set ::watch [after [expr {1000 * $::options(-timeout)}] [list http::reset $token timeout]]
}

# Fetches URL; what comes is written to F, if there is one. Returns the token.
proc fetch {url f} {
    global progress options
    set progress(start) [clock milliseconds]
    set progress(width) [terminal_width]
    set into [expr {$f eq "" ? "" : [list -channel $f]}]
    # No compression: what arrives can be counted against what was announced.
    set token [http::geturl $url -binary 1 -blocksize 65536 -progress arrived -command finished \
        -headers {Accept-Encoding identity} {*}$into]
    watch $token
    vwait finished
    after cancel $::watch
    return $token
}

proc finished {token} {
    set ::finished $token
}

# A header of the answer, whatever the case of its name.
proc header {token name} {
    foreach {key value} [http::meta $token] {
        if {[string equal -nocase $key $name]} {return $value}
    }
}

# An absolute URL from what a redirection says.
proc resolve {base location} {
    if {[regexp -nocase {^[a-z][a-z0-9+.-]*:} $location]} {return $location}
    regexp {^(https://[^/?#]*)([^?#]*)} $base -> server path
    switch -glob -- $location {
        //*     {return https:$location}
        /*      {return $server$location}
        default {return $server[string range $path 0 [string last / $path]]$location}
    }
}

# Fetches URL and what it leads to, into the file NAME or to standard output.
proc download {url name} {
    global options
    for {set n 0} {1} {incr n} {
        if {![regexp -nocase {^https://[^/?#]} $url]} {fail [expr {$n ? 5 : 2}] "this is no https URL: $url"}
        set f [expr {$name eq "" ? "" : [create $name]}]
        if {[catch {fetch $url $f} token]} {fail 1 $token}
        set code [http::ncode $token]
        if {[http::status $token] eq "timeout"} {
            fail 7 "nothing has come for $options(-timeout) seconds"
        } elseif {[http::status $token] eq "error" || $code eq ""} {
            # With a file: what cannot be written, for one.
            fail 7 "the connection failed: [lindex [http::error $token] 0]"
        }
        if {$options(-v)} {tell answer [http::code $token]}
        set location [header $token location]
        if {$code ni {301 302 303 307 308} || $location eq ""} break
        if {$n >= $options(-redirects)} {fail 5 "more than $options(-redirects) redirections"}
        set url [resolve $url $location]
        if {$options(-v)} {tell "leads to" $url}
        http::cleanup $token
        discard
    }
    if {$code < 200 || $code > 299} {fail 5 "the server says: [http::code $token]"}
    set size [http::size $token]
    set announced [header $token content-length]
    if {[http::status $token] ne "ok" || ($announced ne "" && $size != $announced)} {
        fail 7 "only $size octets[expr {$announced eq "" ? "" : " of $announced"}] have arrived"
    }
    clear_progress
    if {$f eq ""} {
        chan configure stdout -translation binary
        if {[catch {puts -nonewline stdout [http::data $token]; flush stdout} message]} {fail 6 $message}
    } else {
        commit $name
        if {$options(-v)} {tell file "$name, $size octets"}
    }
    http::cleanup $token
}

# --- the file ---------------------------------------------------------------------------------------------------------

# The file is written beside its place and renamed when it is complete.
set part ""

proc create {name} {
    global part part_chan
    set part $name.part-[pid]
    if {[catch {set part_chan [open $part {WRONLY CREAT EXCL BINARY}]} message]} {
        set part ""
        fail 6 $message
    }
    chan configure $part_chan -translation binary -buffersize 65536
    return $part_chan
}

proc commit {name} {
    global part part_chan
    try {
        # A disk that is full shows here at the latest.
        close $part_chan
        file rename -force $part $name
    } on error {message} {
        fail 6 $message
    }
    set part ""
}

proc discard {} {
    global part part_chan
    if {$part ne ""} {
        catch {close $part_chan}
        file delete $part
        set part ""
    }
}

# Whatever way the program ends.
rename exit really_exit
proc exit {{status 0}} {
    discard
    really_exit $status
}

set watch ""
set url [parse_options $argv]
if {$options(-ca) ne ""} {
    if {![file readable $options(-ca)]} {fail 2 "\"$options(-ca)\" cannot be read"}
    # In the place of the system's roots.
    set env(SSL_CERT_FILE) $options(-ca)
    unset -nocomplain env(SSL_CERT_DIR)
}
if {$options(-o) ne "" && [file isdirectory $options(-o)]} {fail 2 "\"$options(-o)\" is a folder"}
set progress(bar) [expr {!$options(-quiet) && [is_terminal stderr]}]
http::config -useragent "https-get.tcl (tcl-rustls)"
http::register https 443 connect
download $url $options(-o)
exit
