# A small HTTP/1.x server in a process of its own:
#   webserver.tcl KIND ?CERTIFICATE? ?OPTION …?
#
# Prints "port N". Paths: /page; /bytes/N (N bytes of pattern); /sink (answers
# a PUT or POST with the body's length and CRC); /who (the client's
# certificate); /info (tls_info). Closes after each answer, as it says.

set arguments $argv
set argv {}
source [file join [file dirname [file normalize [info script]]] support.tcl]
set rest [lassign $arguments kind certificate]
if {$certificate eq {}} {set certificate server}

proc accept {c addr port} {
    fconfigure $c -blocking 0 -translation {auto crlf} -encoding iso8859-1
    fileevent $c readable [list request $c {}]
}

proc request {c lines} {
    if {[catch {gets $c line} n] || ($n < 0 && [eof $c])} {close $c; return}
    if {$n < 0} return
    if {$line ne {} || ![llength $lines]} {
        lappend lines $line
        fileevent $c readable [list request $c $lines]
        return
    }
    fileevent $c readable {}
    set length 0
    foreach l $lines {
        regexp -nocase {^content-length: *(\d+)} $l -> length
        if {[regexp -nocase {^expect: *100-continue} $l]} {puts $c "HTTP/1.1 100 Continue\n"; flush $c}
    }
    set path [lindex [split [lindex $lines 0]] 1]
    switch -glob -- $path {
        /page {answer $c text/html "<html>\n<h1>It works</h1>\n</html>\n"}
        /bytes/* {answer $c application/octet-stream [pattern [file tail $path]]}
        /who {answer $c text/plain [who $c]\n}
        /info {answer $c text/plain [twapi::tls_info $c]\n}
        /sink {
            fconfigure $c -translation {binary crlf}
            fileevent $c readable [list sink $c $length 0 0]
        }
        default {answer $c text/plain "no such page\n" "404 Not Found"}
    }
}

proc sink {c length n crc} {
    set data [read $c 100000]
    incr n [string length $data]
    set crc [zlib crc32 $data $crc]
    if {$n >= $length} {
        fileevent $c readable {}
        answer $c text/plain "$n $crc"
    } elseif {[eof $c]} {
        close $c
    } else {
        fileevent $c readable [list sink $c $length $n $crc]
    }
}

proc answer {c type body {status "200 OK"}} {
    puts $c "HTTP/1.1 $status\nContent-Type: $type\nContent-Length: [string length $body]\nConnection: close\n"
    fconfigure $c -translation binary
    puts -nonewline $c $body
    close $c
}

proc who {c} {
    if {[catch {twapi::sspi_remote_cert [fconfigure $c -context]} cert]} {return nobody}
    set name [twapi::cert_subject_name $cert]
    twapi::cert_release $cert
    return $name
}

fconfigure stdin -blocking 0
fileevent stdin readable {read stdin; if {[eof stdin]} {exit 0}}
interp bgerror {} {apply {{msg opts} {puts stderr "bgerror: $msg"}}}
if {$kind eq "plain"} {
    set listener [listen plain accept]
} else {
    set listener [listen $kind accept -credentials [credentials $certificate] {*}$rest]
}
puts "port [port $listener]"
flush stdout
vwait forever
