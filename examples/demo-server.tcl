# An HTTPS server in a few lines of Tcl.
#
#   tclsh demo-server.tcl SERVER.PEM
#
# SERVER.PEM holds the certificate and its private key. The port, which the system chooses, is printed. There are a page, "/",
# and a file of 100 MB, "/file", which is made when the server starts, beside SERVER.PEM. Its checksum is announced in the
# header X-CRC32.
package require twapi_crypto

set megabytes 100

# What goes wrong in the background, such as a client that refuses the certificate, is told in one line.
interp bgerror {} {apply {{message options} {
    puts -nonewline stderr "  (server)     $message\n"
}}}

# Credentials for the server: the certificate that names it, from a store made of the PEM file.
proc credentials {file} {
    set f [open $file]
    set store [twapi::cert_temporary_store -pem [read $f]]
    close $f
    set cert [twapi::cert_store_find_certificate $store subject_substring localhost]
    set credentials [twapi::sspi_acquire_credentials -package unisp -role server -credentials \
        [twapi::sspi_schannel_credentials -certificates [list $cert]]]
    twapi::cert_release $cert
    twapi::cert_store_release $store
    return $credentials
}

# Called with each connection whose TLS handshake is done.
proc accept {chan addr port} {
    chan configure $chan -blocking 0 -translation {auto crlf} -buffersize 65536
    chan event $chan readable [list request $chan {}]
}

# Reads the lines of a request up to the empty one, then answers the first.
proc request {chan lines} {
    if {[catch {chan gets $chan line} length]} {
        close $chan
    } elseif {$length > 0} {
        chan event $chan readable [list request $chan [lappend lines $line]]
    } elseif {$length == 0} {
        chan event $chan readable {}
        answer $chan [lindex [split [lindex $lines 0]] 1]
    } elseif {[chan eof $chan]} {
        close $chan
    }
}

proc answer {chan path} {
    switch -- $path {
        / {
            set page "<!DOCTYPE html>\n<title>tcl-rustls</title>\n<p>Hello from Tcl [info patchlevel].\n"
            head $chan 200 text/html [string length $page]
            puts -nonewline $chan $page
            close $chan
        }
        /file {
            head $chan 200 application/octet-stream [expr {$::megabytes << 20}] "X-CRC32: $::checksum"
            send $chan
        }
        default {
            head $chan 404 text/plain 0
            close $chan
        }
    }
}

proc head {chan status type length args} {
    set reason [dict get {200 OK 404 {Not Found}} $status]
    foreach line [list "HTTP/1.1 $status $reason" "Content-Type: $type" "Content-Length: $length" \
                      "Connection: close" {*}$args ""] {
        puts $chan $line
    }
    # What follows goes out as it is.
    chan configure $chan -translation binary
}

# Sends the file as fast as the connection takes it, while others are served too.
proc send {chan} {
    set f [open $::file rb]
    chan configure $f -buffersize 65536
    chan copy $f $chan -command [list sent $f $chan]
}

proc sent {f chan bytes {message {}}} {
    close $f
    # Where the client has gone away before the end, there is nobody left to tell.
    catch {close $chan}
}

# Makes the file: numbered parts of 1 MB of noise, so that no two are alike. Returns its checksum.
proc make_file {file megabytes} {
    set noise [binary format W* [lmap _ [lrepeat 131071 0] {expr {int(rand() * 0x7fffffffffffffff)}}]]
    set f [open $file wb]
    set checksum 0
    for {set number 0} {$number < $megabytes} {incr number} {
        set part [binary format Wa* $number $noise]
        set checksum [zlib crc32 $part $checksum]
        puts -nonewline $f $part
    }
    close $f
    return $checksum
}

set file [file join [file dirname [lindex $argv 0]] demo-file]
set checksum [make_file $file $megabytes]
set listener [twapi::tls_socket -server accept -credentials [credentials [lindex $argv 0]] 0]
puts [lindex [chan configure $listener -sockname] 2]
chan flush stdout
vwait forever
