# Fetches from demo-server.tcl, and shows what the connection is like.
#
#   tclsh demo-client.tcl fetch  URL ?redraw|lines?     a page and a file; the server's certificate must be found good
#   tclsh demo-client.tcl refuse URL                    the same without a root that is trusted: must be refused
package require http
package require twapi_crypto

# All that it takes to have HTTPS:
http::register https 443 twapi::tls_socket

lassign $argv what url progress
chan configure stdout -encoding utf-8

# One line of the report: a step that was done, or more about it.
proc report {step text} {
    puts [format "  %-12s %s" $step $text]
    chan flush stdout
}

proc fail {step text} {
    report $step "FAILED: $text"
    exit 1
}

proc fetch_page {url} {
    set token [http::geturl $url]
    if {[http::status $token] ne "ok" || [http::ncode $token] != 200} {
        fail page "[http::status $token] [http::code $token] [http::error $token]"
    }
    report page "$url  [http::code $token], [string length [http::data $token]] characters"
    report "" [lindex [split [string trim [http::data $token]] \n] end]
    http::cleanup $token
}

proc fetch_file {url} {
    set ::received 0
    set ::checksum 0
    set ::start [clock microseconds]
    set ::shown 0
    set token [http::geturl ${url}file -handler receive]
    set seconds [expr {([clock microseconds] - $::start) / 1e6}]
    if {$::progress eq "redraw"} {
        puts -nonewline "\r[string repeat " " 70]\r"
    }
    if {[http::status $token] ne "ok" || [http::ncode $token] != 200} {
        fail file "[http::status $token] [http::code $token] [http::error $token]"
    }
    # Names of headers keep the case the server wrote them in, or not: that depends on the version of http.
    set meta {}
    dict for {name value} [http::meta $token] {
        dict set meta [string tolower $name] $value
    }
    set announced [dict get $meta x-crc32]
    http::cleanup $token
    set expected [dict get $meta content-length]
    if {$::received != $expected} {
        fail file "$::received bytes of $expected arrived"
    }
    if {$::checksum != $announced} {
        fail file "the checksum is $::checksum, not $announced"
    }
    report file [format "%d MB in %.2f s: %.0f MB/s; CRC-32 %08x as announced" \
        [expr {$::received >> 20}] $seconds [expr {$::received / 1048576. / $seconds}] $::checksum]
}

# Takes what has arrived of the file. The channel is the one that tls_socket made, so it can be asked here.
proc receive {chan token} {
    if {$::received == 0} {
        chan configure $chan -buffersize 65536
        describe $chan
        set ::start [clock microseconds]
    }
    set data [chan read $chan 65536]
    incr ::received [string length $data]
    set ::checksum [zlib crc32 $data $::checksum]
    upvar #0 $token state
    show_progress $::received $state(totalsize)
    return [string length $data]
}

proc describe {chan} {
    set info [twapi::tls_info $chan]
    report connection "[dict get $info protocol], [dict get $info cipher], [dict get $info group]"
    lassign [certificate $chan] subject issuer from to
    report certificate "$subject, issued by $issuer"
    report "" "valid from [clock_text $from] to [clock_text $to]"
}

proc clock_text {time} {
    clock format $time -format "%Y-%m-%d %H:%M UTC" -gmt 1
}

# Subject, issuer, begin and end (in seconds) of the server's certificate.
proc certificate {chan} {
    set cert [twapi::sspi_remote_cert [chan configure $chan -context]]
    set info [twapi::cert_info $cert]
    set facts [list [twapi::cert_subject_name $cert] [twapi::cert_issuer_name $cert] \
        [dict get $info -start] [dict get $info -end]]
    twapi::cert_release $cert
    return $facts
}

# On a terminal one line that is drawn again and again, elsewhere a line for each quarter.
proc show_progress {done total} {
    if {$total <= 0} return
    if {$::progress eq "redraw"} {
        set now [clock milliseconds]
        if {$now - $::shown < 50} return
        set ::shown $now
        set width [expr {40 * $done / $total}]
        puts -nonewline [format "\r  %-12s \[%-40s\] %3d %%" file [string repeat # $width] [expr {100 * $done / $total}]]
        chan flush stdout
    } elseif {4 * $done / $total > $::shown} {
        set ::shown [expr {4 * $done / $total}]
        report "" "[expr {25 * $::shown}] % of $total bytes"
    }
}

# With http, whose error says why; and by itself, which has an error code to test.
proc expect_refusal {url} {
    set failed [catch {
        set token [http::geturl $url]
        lindex [http::error $token] 0
    } message]
    if {!$failed && [http::status $token] eq "ok"} {
        fail "without CA" "the page was fetched all the same"
    }
    regexp {^https://([^:/]+):(\d+)/} $url -> host port
    if {![catch {twapi::tls_socket $host $port} chan options]} {
        close $chan
        fail "without CA" "tls_socket connected all the same"
    }
    set code [dict get $options -errorcode]
    # The root is not trusted: other errors prove nothing.
    if {[lrange $code 0 1] ne {TWAPI_WIN32 -2146893019}} {
        fail "without CA" "refused, but for another reason: $chan ($code)"
    }
    report "without CA" "refused"
    report "" "http::geturl: [string trim $message]"
    report "" "tls_socket:   $chan"
    report "" "errorCode:    $code"
}

switch -- $what {
    fetch {
        puts "Tcl [info patchlevel], http [package provide http], twapi_crypto [package provide twapi_crypto]"
        fetch_page $url
        fetch_file $url
    }
    refuse {expect_refusal $url}
    default {error "usage: demo-client.tcl fetch|refuse URL ?redraw|lines?"}
}
