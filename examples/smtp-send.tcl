#!/usr/bin/env tclsh
# smtp-send.tcl: send a message by SMTP, never without TLS.
#
# Mail servers for submission speak plain text first and change to TLS at the command STARTTLS (port 587, RFC 3207), or
# speak TLS from the beginning (port 465, RFC 8314).
package require Tcl 8.6-
package require twapi_crypto

set usage {usage: smtp-send.tcl ?options? -from ADDRESS -to ADDRESS HOST ?PORT?

The text of the message is read from standard input, in UTF-8.

  -from ADDRESS      who sends
  -to ADDRESS        who gets it; more than once for more of them
  -subject TEXT      what it is about
  -user NAME         log in by this name; the password is in the environment variable SMTP_PASSWORD
  -tls               TLS from the beginning, port 465; else STARTTLS, port 587
  -ca FILE           trust the certificates in this PEM file, instead of the system's
  -timeout SECONDS   how long to wait for each answer; default 60
  -v                 show the conversation (but no password)}

array set options {-from "" -to {} -subject "" -user "" -tls 0 -ca "" -timeout 60 -v 0}

proc fail {message {status 1}} {
    puts stderr "smtp-send: $message"
    exit $status
}

proc parse_options {words} {
    global options usage
    while {[string match -?* [lindex $words 0]]} {
        set words [lassign $words name]
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {$name in {-tls -v}} {
            set options($name) 1
        } elseif {![info exists options($name)]} {
            fail "there is no option $name; -help tells which there are" 2
        } elseif {![llength $words]} {
            fail "option $name needs a value" 2
        } elseif {$name eq "-to"} {
            set words [lassign $words address]
            lappend options(-to) $address
        } else {
            set words [lassign $words options($name)]
        }
    }
    if {[llength $words] ni {1 2}} {fail "which server?\n$usage" 2}
    if {$options(-from) eq "" || ![llength $options(-to)]} {fail "-from and -to must be there; -help tells more" 2}
    # An address goes into a command: what could end that is no address.
    foreach address [concat [list $options(-from)] $options(-to)] {
        if {![regexp {^[^\s<>@[:cntrl:]]+@[^\s<>@[:cntrl:]]+$} $address] || ![string is ascii $address]} {
            fail "this is no address: $address" 2
        }
    }
    if {[regexp {[[:cntrl:]]} $options(-subject)]} {fail "a subject is one line" 2}
    if {![string is integer -strict $options(-timeout)] || $options(-timeout) < 0} {fail "option -timeout needs a number" 2}
    return $words
}

# --- the conversation -------------------------------------------------------------------------------------------------

# The next line from the server. Other channels could be served meanwhile: this waits by events.
proc receive_line {chan} {
    set timer [after [expr {1000 * $::options(-timeout)}] {set ::arrived late}]
    chan configure $chan -blocking 0
    chan event $chan readable {set ::arrived line}
    try {
        while {[chan gets $chan line] < 0} {
            if {[chan eof $chan]} {throw SMTP "the server has ended the connection"}
            if {[chan pending input $chan] > 4096} {throw SMTP "the server sends an endless line"}
            vwait ::arrived
            if {$::arrived eq "late"} {throw SMTP "no answer for $::options(-timeout) seconds"}
        }
    } finally {
        after cancel $timer
        chan event $chan readable {}
        chan configure $chan -blocking 1
    }
    show "S: $line"
    return $line
}

# An answer: its code, and the texts of its lines. All but the last have a hyphen behind the code.
proc receive {chan} {
    set texts {}
    while 1 {
        if {![regexp {^(\d\d\d)(?:([ -])(.*))?$} [receive_line $chan] -> code more text]} {
            throw SMTP "the server does not speak SMTP"
        }
        lappend texts $text
        if {$more ne "-"} {return [list $code $texts]}
        if {[llength $texts] > 100} {throw SMTP "the server sends an endless answer"}
    }
}

# Sends a command, and returns the texts of an answer whose code must begin with EXPECTED. SHOWN is what -v shows.
proc command {chan expected command {shown ""}} {
    show "C: [expr {$shown eq "" ? $command : $shown}]"
    puts $chan $command
    chan flush $chan
    return [answer $chan $expected]
}

proc answer {chan expected} {
    lassign [receive $chan] code texts
    if {![string match $expected* $code]} {throw SMTP "the server says: $code [join $texts " / "]"}
    return $texts
}

proc show {text} {
    if {$::options(-v)} {puts stderr [regsub -all {[[:cntrl:]]} $text ?]}
}

# Greets the server; returns what it can do, as a dict of words to their arguments.
proc hello {chan} {
    set able {}
    foreach line [lrange [command $chan 2 "EHLO [local_name $chan]"] 1 end] {
        dict set able [string toupper [lindex [split $line] 0]] [lrange [split [string toupper $line]] 1 end]
    }
    return $able
}

# A name for this machine: one that is fully qualified, or its address (RFC 5321, 4.1.3).
proc local_name {chan} {
    set name [info hostname]
    if {[regexp {^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$} $name]} {return $name}
    set address [lindex [chan configure $chan -sockname] 0]
    return [expr {[string match *:* $address] ? "\[IPv6:$address\]" : "\[$address\]"}]
}

proc tell_tls {chan} {
    set info [twapi::tls_info $chan]
    show "   ([dict get $info protocol], [dict get $info cipher], [dict get $info group])"
}

# A channel to the server, with TLS, that is greeted, and what the server can do.
proc connect {host port} {
    if {$::options(-tls)} {
        set chan [twapi::tls_socket $host $port]
        chan configure $chan -translation crlf -encoding utf-8
        tell_tls $chan
        answer $chan 2
        return [list $chan [hello $chan]]
    }
    set chan [socket $host $port]
    chan configure $chan -translation crlf -encoding utf-8
    answer $chan 2
    # Whoever sits in between can take STARTTLS out of this answer: then nothing more is sent.
    if {![dict exists [hello $chan] STARTTLS]} {
        catch {command $chan 2 QUIT}
        throw SMTP "the server does not offer STARTTLS: nothing was sent"
    }
    command $chan 2 STARTTLS
    set chan [twapi::starttls $chan -peersubject $host]
    tell_tls $chan
    # What was said before could have been forged, so it is asked for again.
    return [list $chan [hello $chan]]
}

proc log_in {chan able user password} {
    if {![dict exists $able AUTH] || "PLAIN" ni [dict get $able AUTH]} {
        throw SMTP "the server does not offer to log in by AUTH PLAIN"
    }
    set secret [binary encode base64 [encoding convertto utf-8 "\0$user\0$password"]]
    command $chan 2 "AUTH PLAIN $secret" "AUTH PLAIN (not shown)"
}

proc send {chan able text} {
    global options
    set eight [dict exists $able 8BITMIME]
    command $chan 2 "MAIL FROM:<$options(-from)>[expr {$eight ? " BODY=8BITMIME" : ""}]"
    foreach address $options(-to) {command $chan 2 "RCPT TO:<$address>"}
    command $chan 3 DATA
    set lines [split [message $text $eight] \n]
    foreach line $lines {
        # A line with a single dot ends the message, so each dot at the beginning of a line is doubled.
        if {[string index $line 0] eq "."} {set line .$line}
        puts $chan $line
    }
    command $chan 2 . "([llength $lines] lines)"
}

# --- the message ------------------------------------------------------------------------------------------------------

# The message: TEXT as it is, or in base64 where lines are longer, or the server understands less, than SMTP wants.
proc message {text eight} {
    global options
    set lines [split [string trimright $text \n] \n]
    set plain [expr {$eight || [string is ascii $text]}]
    foreach line $lines {
        # RFC 5321, 4.5.3.1.6, without the line's end
        if {[string length [encoding convertto utf-8 $line]] > 998} {set plain 0}
    }
    if {$plain} {
        set encoding 8bit
        set body [join $lines \n]
    } else {
        set encoding base64
        # Text has line ends of two characters also inside (RFC 2045, 6.8).
        set body [binary encode base64 -maxlen 76 [encoding convertto utf-8 [join $lines \r\n]\r\n]]
    }
    set domain [lindex [split $options(-from) @] 1]
    set header [list \
        "Date: [clock format [clock seconds] -format "%a, %d %b %Y %H:%M:%S %z"]" \
        "From: <$options(-from)>" \
        "To: [join [lmap address $options(-to) {string cat < $address >}] ",\n "]" \
        "Subject: [encode_words $options(-subject)]" \
        "Message-ID: <[clock microseconds].[pid]@$domain>" \
        "MIME-Version: 1.0" \
        "Content-Type: text/plain; charset=utf-8" \
        "Content-Transfer-Encoding: $encoding"]
    return [join $header \n]\n\n$body
}

# A header's text: where it is not ASCII, in encoded words of at most 75 characters (RFC 2047).
proc encode_words {text} {
    if {[string is ascii $text] && [string length $text] < 900} {return $text}
    set words {}
    set part ""
    foreach char [split $text ""] {
        if {[string length [encoding convertto utf-8 $part$char]] > 45} {
            lappend words $part
            set part ""
        }
        append part $char
    }
    lappend words $part
    return [join [lmap part $words {
        string cat =?utf-8?B? [binary encode base64 [encoding convertto utf-8 $part]] ?=
    }] "\n "]
}

lassign [parse_options $argv] host port
if {$port eq ""} {set port [expr {$options(-tls) ? 465 : 587}]}
if {$options(-ca) ne ""} {
    if {![file readable $options(-ca)]} {fail "\"$options(-ca)\" cannot be read" 2}
    set env(SSL_CERT_FILE) $options(-ca)
    unset -nocomplain env(SSL_CERT_DIR)
}
if {$options(-user) ne "" && ![info exists env(SMTP_PASSWORD)]} {fail "SMTP_PASSWORD is not set" 2}
chan configure stdin -encoding utf-8
if {[catch {read stdin} text]} {fail "standard input is not in UTF-8"}
try {
    lassign [connect $host $port] chan able
    if {$options(-user) ne ""} {log_in $chan $able $options(-user) $env(SMTP_PASSWORD)}
    send $chan $able $text
    # The message is delivered: that the farewell fails is no matter.
    catch {command $chan 2 QUIT}
    catch {close $chan}
} on error {message} {
    fail $message
}
puts "sent to [join $options(-to) ", "]"
