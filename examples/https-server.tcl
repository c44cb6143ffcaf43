#!/usr/bin/env tclsh
# https-server.tcl: the files of a folder over HTTPS, and a page that shows who is connected.
#
# Each connection is served by a coroutine that reads like a conversation: read a request, answer it, start over. It
# waits by events, so one process serves all, and nobody waits for somebody slow.
package require Tcl 8.6-
package require twapi_crypto

set usage {usage: https-server.tcl ?options? FOLDER

  -cert FILE         PEM file with the certificate, its intermediates and, unless -key tells, its private key
  -key FILE          PEM file with the private key
  -pfx FILE          PFX file with all of these, instead
  -self-signed FILE  or, for trying: a certificate for this machine, written to FILE for clients to trust
  -address ADDRESS   where to listen; default localhost; "any" is everywhere
  -port PORT         default 8443; 0 is any that is free
  -status WHO        who sees /-/status: local (default), all, none
  -idle SECONDS      how long a connection may do nothing; default 15
  -connections N     how many there may be at a time; default 500
  -quiet             no line for each request

The password of an encrypted key or of a PFX file is taken from the environment variable KEY_PASSWORD.}

array set options {
    -cert "" -key "" -pfx "" -self-signed "" -address localhost -port 8443 -status local -idle 15 -connections 500 -quiet 0
}
# Octets of a request's head, and octets that a client must take in -idle seconds for not to be dropped.
set largest_head 16384
set portion 65536

set types {
    .html "text/html; charset=utf-8" .htm "text/html; charset=utf-8" .css "text/css; charset=utf-8"
    .js "text/javascript; charset=utf-8" .mjs "text/javascript; charset=utf-8" .json application/json
    .txt "text/plain; charset=utf-8" .md "text/plain; charset=utf-8" .tcl "text/plain; charset=utf-8"
    .csv "text/csv; charset=utf-8" .xml application/xml .pdf application/pdf .wasm application/wasm
    .svg image/svg+xml .png image/png .jpg image/jpeg .jpeg image/jpeg .gif image/gif .webp image/webp
    .ico image/x-icon .woff2 font/woff2 .mp3 audio/mpeg .mp4 video/mp4 .webm video/webm .gz application/gzip
    .zip application/zip
}
set reasons {
    200 OK 206 "Partial Content" 301 "Moved Permanently" 304 "Not Modified" 400 "Bad Request" 403 Forbidden
    404 "Not Found" 405 "Method Not Allowed" 416 "Range Not Satisfiable" 431 "Request Header Fields Too Large"
    505 "HTTP Version Not Supported"
}

proc fail {message {status 1}} {
    puts stderr "https-server: $message"
    exit $status
}

# --- certificates -----------------------------------------------------------------------------------------------------

proc file_content {file} {
    set f [open $file rb]
    try {return [read $f]} finally {close $f}
}

# A certificate with its private key, by the options.
proc certificate {} {
    global options env
    if {$options(-self-signed) ne ""} {
        set names [list {dns localhost} {ip 127.0.0.1} {ip ::1}]
        set host [info hostname]
        if {[regexp {^[A-Za-z0-9.-]+$} $host] && $host ne "localhost"} {lappend names [list dns $host]}
        set cert [twapi::cert_create_self_signed "CN=localhost, O=https-server.tcl" -altnames $names \
            -enhkeyusage server_auth -end [expr {[clock seconds] + 30 * 86400}]]
        set f [open $options(-self-signed) w]
        puts -nonewline $f [twapi::cert_export $cert]
        close $f
        return $cert
    }
    set password [expr {[info exists env(KEY_PASSWORD)] ? [list -password $env(KEY_PASSWORD)] : ""}]
    if {$options(-pfx) ne ""} {
        set store [twapi::cert_temporary_store -pfx [file_content $options(-pfx)] {*}$password]
    } else {
        set pem [file_content $options(-cert)]
        if {$options(-key) ne ""} {append pem \n [file_content $options(-key)]}
        set store [twapi::cert_temporary_store -pem $pem {*}$password]
    }
    set cert [twapi::cert_store_find_certificate $store has_private_key]
    twapi::cert_store_release $store
    if {$cert eq ""} {error "there is no certificate with its private key in \"[expr {$options(-pfx) ne "" ? $options(-pfx) : $options(-cert)}]\""}
    return $cert
}

# --- connections ------------------------------------------------------------------------------------------------------

# What the status page tells: totals, and for each channel a dict.
array set totals [list started [clock seconds] accepted 0 refused 0 most 0 requests 0 sent 0]
array set connections {}

# Called with each connection whose handshake is done.
proc accept {chan addr port} {
    global options totals connections
    incr totals(accepted)
    if {[array size connections] >= $options(-connections)} {
        close $chan
        return
    }
    set info [twapi::tls_info $chan]
    set connections($chan) [dict create id $totals(accepted) peer $addr port $port since [clock seconds] \
        protocol [dict get $info protocol] cipher [dict get $info cipher] group [dict get $info group] \
        name [dict get $info servername] requests 0 sent 0 doing ""]
    set totals(most) [expr {max($totals(most), [array size connections])}]
    # Lines come in by any convention; what goes out is in octets.
    chan configure $chan -blocking 0 -translation {auto binary} -buffersize 65536
    coroutine serve-$chan serve $chan
}

# All requests of a connection.
proc serve {chan} {
    global connections
    try {
        while {[set request [read_request $chan]] ne ""} {
            dict incr connections($chan) requests
            incr ::totals(requests)
            dict set connections($chan) doing "[dict get $request method] [dict get $request target]"
            answer $chan $request
            drain $chan
            dict set connections($chan) doing ""
            if {[dict get $request close]} break
        }
    } trap HTTP {message details} {
        # What cannot be understood is answered, and then there is no telling where the next request begins.
        catch {respond $chan {method GET target ? close 1} [lindex [dict get $details -errorcode] 1] {} $message\n}
    } trap DROP {} {
    } trap TWAPI_WIN32 {message} {
        # The peer broke TLS, or said by an alert what it does not like.
        complain "[dict get $connections($chan) peer]: $message"
    } trap POSIX {} {
        # It has gone away: nothing to be said to it.
    } on error {message details} {
        complain [dict get $details -errorinfo]
    } finally {
        unset connections($chan)
        catch {close $chan}
    }
}

proc complain {message} {
    puts stderr "https-server: $message"
}

# Waits until CHAN is readable or writable; not longer than until DEADLINE, in milliseconds.
proc wait {chan event deadline} {
    set timer [after [expr {max(0, $deadline - [clock milliseconds])}] [list [info coroutine] late]]
    chan event $chan $event [list [info coroutine] ready]
    set what [yield]
    after cancel $timer
    chan event $chan $event {}
    if {$what eq "late"} {throw DROP "too slow"}
}

proc deadline {} {
    return [expr {[clock milliseconds] + 1000 * $::options(-idle)}]
}

# Waits until all has been sent, so that nobody gets to ask who does not listen.
proc drain {chan} {
    chan flush $chan
    while {[chan pending output $chan] > 0} {wait $chan writable [deadline]}
}

# The next request, or nothing when there is none.
proc read_request {chan} {
    set deadline [deadline]
    set lines {}
    set size 0
    while 1 {
        set length [chan gets $chan line]
        if {$length < 0} {
            if {[chan eof $chan]} {return ""}
            if {$size + [chan pending input $chan] > $::largest_head} {throw {HTTP 431} "The request is too large."}
            wait $chan readable $deadline
        } elseif {[incr size $length] > $::largest_head} {
            throw {HTTP 431} "The request is too large."
        } elseif {$length > 0} {
            lappend lines $line
        } elseif {[llength $lines]} {
            return [parse_request $lines]
        }
    }
}

proc parse_request {lines} {
    set fields {}
    if {![regexp {^([A-Z]+) (\S+) HTTP/(\d)\.\d$} [lindex $lines 0] -> method target version]} {
        throw {HTTP 400} "That is no HTTP request."
    }
    if {$version != 1} {throw {HTTP 505} "This server speaks HTTP/1.1."}
    foreach line [lrange $lines 1 end] {
        if {![regexp {^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$} $line -> name value]} {
            throw {HTTP 400} "A header line is malformed."
        }
        dict set fields [string tolower $name] $value
    }
    if {[string match "*/1.1" [lindex $lines 0]]} {
        if {![dict exists $fields host]} {throw {HTTP 400} "The header Host is missing."}
        set close [expr {"close" in [split [string tolower [field $fields connection]] ", "]}]
    } else {
        set close 1
    }
    # No method here has a body, so one that comes is not read: the connection ends after the answer.
    if {[dict exists $fields transfer-encoding] || [field $fields content-length] ni {"" 0}} {set close 1}
    return [dict create method $method target $target fields $fields close $close]
}

proc field {fields name} {
    return [expr {[dict exists $fields $name] ? [dict get $fields $name] : ""}]
}

# --- answers ----------------------------------------------------------------------------------------------------------

proc answer {chan request} {
    if {[dict get $request method] ni {GET HEAD}} {
        respond $chan $request 405 {Allow "GET, HEAD"} "Only GET and HEAD are possible here.\n"
        return
    }
    try {
        set path [decode_path [dict get $request target]]
    } trap {HTTP 404} {message} {
        respond $chan $request 404 {} $message\n
        return
    }
    if {[lindex $path 0] eq "-"} {
        answer_status $chan $request [lrange $path 1 end]
    } else {
        answer_file $chan $request $path
    }
}

# The parts of a path, decoded; none of them leads out of the folder, or to what is hidden.
proc decode_path {target} {
    # Proxies may send a whole URL.
    regsub {^https?://[^/]*} $target "" target
    if {[string index $target 0] ne "/"} {throw {HTTP 400} "The path is malformed."}
    set path {}
    foreach part [split [regsub {[?#].*} [string range $target 1 end] ""] /] {
        if {[regexp {%(?![0-9A-Fa-f]{2})} $part]} {throw {HTTP 400} "The path is malformed."}
        set bytes ""
        foreach {all plain code} [regexp -all -inline {([^%]+)|%(..)} $part] {
            append bytes [expr {$code eq "" ? $plain : [binary decode hex $code]}]
        }
        if {[catch {encoding convertfrom utf-8 $bytes} name] || [regexp {[/\\\x00]} $name] || [string match .* $name]} {
            throw {HTTP 404} "There is nothing of this name."
        }
        lappend path $name
    }
    return [expr {[llength $path] ? $path : {{}}}]
}

proc encode_part {name} {
    set encoded ""
    foreach char [split [encoding convertto utf-8 $name] ""] {
        append encoded [expr {[regexp {[\w.~-]} $char] && $char < "\x80" ? $char : [format %%%02X [scan $char %c]]}]
    }
    return $encoded
}

proc answer_file {chan request path} {
    # Not by [file join]: that takes a name with a tilde for somebody's home.
    set file $::root/[join $path /]
    if {![file exists $file] || ![inside $file]} {
        respond $chan $request 404 {} "There is nothing of this name.\n"
    } elseif {[file isdirectory $file]} {
        if {[lindex $path end] ne ""} {
            set location /[join [lmap part $path {encode_part $part}] /]/
            respond $chan $request 301 [list Location $location] "It is at $location\n"
        } elseif {[file isfile ${file}index.html]} {
            answer_file $chan $request [lreplace $path end end index.html]
        } else {
            respond $chan $request 200 {Content-Type "text/html; charset=utf-8"} [listing $file $path]
        }
    } elseif {[lindex $path end] eq ""} {
        respond $chan $request 404 {} "There is no folder of this name.\n"
    } elseif {![file isfile $file] || [catch {open $file rb} f]} {
        respond $chan $request 403 {} "This cannot be read.\n"
    } else {
        try {
            send_file $chan $request $f $file
        } finally {
            close $f
        }
    }
}

# Whether a file is in the folder also by its true name, when links are followed.
proc inside {file} {
    set true [file dirname [file normalize [string trimright $file /]/x]]
    return [expr {[string first $::root/ $true/] == 0}]
}

proc send_file {chan request f file} {
    set fields [dict get $request fields]
    file stat $file stat
    set modified [http_date $stat(mtime)]
    set type application/octet-stream
    catch {set type [dict get $::types [string tolower [file extension $file]]]}
    set headers [list Content-Type $type Last-Modified $modified Accept-Ranges bytes]

    set since [field $fields if-modified-since]
    if {$since ne "" && ![catch {clock scan $since -gmt 1 -format "%a, %d %b %Y %H:%M:%S GMT"} since]
            && $stat(mtime) <= $since} {
        respond $chan $request 304 $headers
        return
    }
    set status 200
    lassign [list 0 [expr {$stat(size) - 1}]] first last
    if {[field $fields if-range] in [list "" $modified]
            && [regexp {^bytes=(\d*)-(\d*)$} [field $fields range] -> from to] && "$from$to" ne ""} {
        # Decimal, whatever they begin with.
        foreach name {from to} {if {[set $name] ne ""} {scan [set $name] %lld $name}}
        if {$from eq ""} {
            set first [expr {max(0, $stat(size) - $to)}]
        } else {
            set first $from
            if {$to ne ""} {set last [expr {min($to, $last)}]}
        }
        if {$to ne "" && $from ne "" && $from > $to} {
            # No range at all, so it is ignored.
            lassign [list 0 [expr {$stat(size) - 1}]] first last
        } elseif {$first > $last} {
            respond $chan $request 416 [list Content-Range "bytes */$stat(size)"] "There is no such range.\n"
            return
        } else {
            set status 206
            lappend headers Content-Range "bytes $first-$last/$stat(size)"
        }
    }
    set left [expr {$last - $first + 1}]
    head $chan $request $status $headers $left
    if {[dict get $request method] eq "HEAD"} return
    seek $f $first
    while {$left > 0} {
        set copied [copy $f $chan [expr {min($left, $::portion)}]]
        # The length is promised: a file that has become shorter leaves only this.
        if {$copied == 0} {throw DROP "the file has changed"}
        incr left -$copied
        count $chan $copied
    }
}

# Copies some octets; the client must take them in time. (What is in the channel's buffer by then Tcl goes on offering, and
# so keeps the descriptor, until the client ends: as with any other socket.)
proc copy {f chan size} {
    set self [info coroutine]
    set timer [after [expr {1000 * $::options(-idle)}] [list $self late]]
    chan copy $f $chan -size $size -command [list copied $self]
    set what [yield]
    after cancel $timer
    if {$what eq "late"} {throw DROP "too slow"}
    lassign $what copied error
    if {$error ne ""} {throw DROP $error}
    return $copied
}

proc copied {coroutine args} {
    # Closing the channel ends the copy as well, and then nobody waits for it.
    if {[llength [info commands $coroutine]]} {$coroutine $args}
}

# A whole answer; the body is text.
proc respond {chan request status headers {body ""}} {
    set body [encoding convertto utf-8 $body]
    if {![dict exists $headers Content-Type]} {dict set headers Content-Type "text/plain; charset=utf-8"}
    head $chan $request $status $headers [string length $body]
    if {[dict get $request method] ne "HEAD" && $status != 304} {
        puts -nonewline $chan $body
        count $chan [string length $body]
    }
    chan flush $chan
}

proc head {chan request status headers length} {
    set lines [list "HTTP/1.1 $status [dict get $::reasons $status]" "Date: [http_date [clock seconds]]"]
    foreach {name value} $headers {lappend lines "$name: $value"}
    if {$status != 304} {lappend lines "Content-Length: $length"}
    lappend lines "X-Content-Type-Options: nosniff"
    if {[dict get $request close]} {lappend lines "Connection: close"}
    puts -nonewline $chan [join $lines \r\n]\r\n\r\n
    if {!$::options(-quiet)} {
        puts "[dict get $::connections($chan) peer] [dict get $request method] [dict get $request target] $status $length"
    }
}

proc count {chan octets} {
    dict incr ::connections($chan) sent $octets
    incr ::totals(sent) $octets
}

proc http_date {time} {
    return [clock format $time -gmt 1 -format "%a, %d %b %Y %H:%M:%S GMT"]
}

# --- pages ------------------------------------------------------------------------------------------------------------

proc html {text} {
    return [string map {& &amp; < &lt; > &gt; \" &quot;} $text]
}

proc listing {folder path} {
    set rows ""
    if {[llength $path] > 1} {append rows "<tr><td><a href=\"../\">..</a><td><td>\n"}
    # In a folder with a strange name a pattern finds nothing: [glob] is told the folder apart from it.
    foreach name [lsort -dictionary [glob -nocomplain -directory $folder -tails *]] {
        set size ""
        set slash ""
        if {![inside $folder$name] || [catch {file stat $folder$name stat}]} continue
        if {$stat(type) eq "directory"} {set slash /} else {set size $stat(size)}
        append rows "<tr><td><a href=\"./[encode_part $name]$slash\">[html $name$slash]</a><td>$size" \
            "<td>[clock format $stat(mtime) -format "%Y-%m-%d %H:%M"]\n"
    }
    set title [html /[join $path /]]
    return "<!DOCTYPE html>
<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\"><title>$title</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}table{width:100%;border-spacing:0}
td{border-top:1px solid #8884;padding:.2rem .5rem}td+td{text-align:right;white-space:nowrap;opacity:.7}</style>
<h1>$title</h1><table>
$rows</table></html>
"
}

proc answer_status {chan request path} {
    global options connections
    set peer [dict get $connections($chan) peer]
    if {$options(-status) eq "none" || ($options(-status) eq "local" && $peer ni {127.0.0.1 ::1 ::ffff:127.0.0.1})} {
        respond $chan $request 404 {} "There is nothing of this name.\n"
        return
    }
    switch -- $path {
        status {
            respond $chan $request 200 {
                Content-Type "text/html; charset=utf-8" Cache-Control no-store
                Content-Security-Policy "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
            } $::status_page
        }
        status.json {
            respond $chan $request 200 {Content-Type application/json Cache-Control no-store} [status_json $chan]
        }
        default {
            respond $chan $request 404 {} "There is nothing of this name.\n"
        }
    }
}

# The state of the server, told to the client of CHAN.
proc status_json {chan} {
    global totals connections certificate_facts
    set list {}
    foreach connection [lsort -integer -index 1 [lmap {name connection} [array get connections] {set connection}]] {
        lappend list [json_object $connection {id port since requests sent}]
    }
    set server [dict create tcl [info patchlevel] now [clock seconds] you [dict get $connections($chan) id] \
        {*}[array get totals] {*}$certificate_facts]
    set numbers {now you started accepted refused most requests sent until}
    return "{\"server\":[json_object $server $numbers],\"connections\":\[[join $list ,]\]}"
}

# A dict as a JSON object: numbers where NUMBERS says so, else strings.
proc json_object {dict numbers} {
    set members {}
    dict for {name value} $dict {
        if {$name ni $numbers} {set value [json_string $value]}
        lappend members [json_string $name]:$value
    }
    return "{[join $members ,]}"
}

proc json_string {text} {
    set map {\" \\\" \\ \\\\}
    for {set i 0} {$i < 32} {incr i} {lappend map [format %c $i] [format \\u%04x $i]}
    return \"[string map $map $text]\"
}

# --- start ------------------------------------------------------------------------------------------------------------

# A handshake that failed is counted here, and then told by bgerror in one line.
proc twapi::tls_background_error {message details} {
    incr ::totals(refused)
    return -options $details $message
}

proc background_error {message details} {
    switch -- [lindex [dict get $details -errorcode] 0] {
        TWAPI - TWAPI_WIN32 - POSIX {complain $message}
        default {complain [dict get $details -errorinfo]}
    }
}

proc parse_options {words} {
    global options usage
    while {[string match -?* [lindex $words 0]]} {
        set words [lassign $words name]
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {$name eq "-quiet"} {
            set options(-quiet) 1
        } elseif {![info exists options($name)]} {
            fail "there is no option $name; -help tells which there are" 2
        } elseif {![llength $words]} {
            fail "option $name needs a value" 2
        } else {
            set words [lassign $words options($name)]
        }
    }
    if {[llength $words] != 1} {fail "which folder?\n$usage" 2}
    foreach name {-port -idle -connections} {
        if {![string is integer -strict $options($name)] || $options($name) < 0} {fail "option $name needs a number" 2}
    }
    if {$options(-port) > 65535} {fail "there is no port $options(-port)" 2}
    if {$options(-status) ni {local all none}} {fail "option -status is local, all or none" 2}
    if {($options(-cert) ne "") + ($options(-pfx) ne "") + ($options(-self-signed) ne "") != 1} {
        fail "one of -cert, -pfx and -self-signed must say which certificate to use; -help tells more" 2
    }
    return [lindex $words 0]
}

interp bgerror {} background_error
chan configure stdout -encoding utf-8 -buffering line
set root [file normalize [parse_options $argv]]
# Its true name, when links are followed; of "/" nothing is left, and a path begins with a slash.
set root [string trimright [file dirname [file normalize $root/x]] /]
if {![file isdirectory $root/]} {fail "\"$root\" is no folder"}
foreach option {-cert -key -pfx} {
    set file [file normalize $options($option)]
    if {$options($option) ne "" && [string first $root/ $file] == 0} {
        fail "the private key must not lie in what is served: \"$options($option)\" is in $root/"
    }
}
try {
    set f [open [file join [file dirname [file normalize [info script]]] https-server-status.html]]
    chan configure $f -encoding utf-8
    set status_page [read $f]
    close $f
    set certificate [certificate]
    set certificate_facts [dict create subject [twapi::cert_subject_name $certificate -name oid_common_name] \
        issuer [twapi::cert_issuer_name $certificate] until [dict get [twapi::cert_info $certificate] -end]]
    set credentials [twapi::sspi_acquire_credentials -package unisp -role server -credentials \
        [twapi::sspi_schannel_credentials -certificates [list $certificate]]]
    twapi::cert_release $certificate
    set place [expr {$options(-address) eq "any" ? "" : [list -myaddr $options(-address)]}]
    # A browser that offers more than HTTP/1.1 is told that this is what is spoken here.
    set listener [twapi::tls_socket -server accept {*}$place -credentials $credentials -alpn {http/1.1 http/1.0} $options(-port)]
} on error {message} {
    fail $message
}
set port [lindex [chan configure $listener -sockname] 2]
set host [expr {$options(-address) eq "any" ? "localhost" : $options(-address)}]
if {[string match *:* $host]} {set host "\[$host\]"}
puts "https://$host:$port/ serves $root/"
if {$options(-status) ne "none"} {puts "https://$host:$port/-/status shows who is connected"}
vwait forever
