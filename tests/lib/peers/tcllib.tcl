# Servers for the tests of tcllib's clients, in processes of their own:
# tcllib.tcl KIND pop3d FOLDER | comm | https | proxy; prints "port N".

namespace eval tcllib {
    variable kind tls13
}

# The socket command for the programs: tls_socket with credentials for servers,
# or the plain one as a control.
proc tcllib::socket {args} {
    variable kind
    if {$kind eq "plain"} {return [::socket {*}$args]}
    if {"-server" in $args} {set args [linsert $args 0 -credentials [credentials server]]}
    return [twapi::tls_socket {*}$args]
}

# POP3 for user "me" with password "secret"; the mails lie in FOLDER/me.
proc tcllib::pop3d {folder} {
    package require pop3d
    package require pop3d::udb
    package require pop3d::dbox
    log::lvSuppressLE emergency
    set users [::pop3d::udb::new]
    $users add me secret me
    set mails [::pop3d::dbox::new]
    $mails base $folder
    set server [::pop3d::new]
    $server configure -port 0 -auth $users -storage $mails -socket ::tcllib::socket
    $server up
    return [$server cget -port]
}

# A comm.
proc tcllib::comm {} {
    package require comm
    ::comm::comm configure -socketcmd ::tcllib::socket -listen 1 -port 0 -local 0
    return [::comm::comm self]
}

# HTTPS: the site of chromium.tcl.
proc tcllib::https {} {
    namespace eval :: [list source [file join $::support::lib peers chromium.tcl]]
    return [port [::chromium::site]]
}

# An HTTP proxy that knows CONNECT, for one user, and prints "to HOST:PORT".
proc tcllib::proxy {} {
    return [port [::socket -server tcllib::Proxied 0]]
}

proc tcllib::Proxied {chan args} {
    fconfigure $chan -translation crlf -buffering line
    gets $chan request
    set user {}
    while {[gets $chan line] > 0} {regexp {^Proxy-Authorization: *Basic *(.*)$} $line -> user}
    lassign [split [lindex $request 1] :] host port
    puts "to $host:$port as [binary decode base64 $user]"
    flush stdout
    if {[lindex $request 0] ne "CONNECT" || [binary decode base64 $user] ne "me:secret"} {
        puts $chan "HTTP/1.1 407 Proxy Authentication Required\nConnection: close\n"
        close $chan
        return
    }
    set there [::socket localhost $port]
    puts $chan "HTTP/1.1 200 Connection established\n"
    foreach end [list $chan $there] {fconfigure $end -translation binary -buffering none -blocking 0}
    chan copy $chan $there -command [list tcllib::Ended $chan $there]
    chan copy $there $chan -command [list tcllib::Ended $there $chan]
}

proc tcllib::Ended {from to args} {
    if {[catch {close $to write}]} {catch {close $to}}
    incr ::tcllib::ended($from,$to)
    if {[info exists ::tcllib::ended($to,$from)]} {
        catch {close $to}
        catch {close $from}
    }
}

if {[file tail $::argv0] eq "tcllib.tcl"} {
    set arguments $argv
    set argv {}
    source [file join [file dirname [file dirname [file normalize [info script]]]] support.tcl]
    set arguments [lassign $arguments tcllib::kind what]
    puts "port [tcllib::$what {*}$arguments]"
    flush stdout
    fconfigure stdin -blocking 0
    fileevent stdin readable {read stdin; if {[eof stdin]} exit}
    interp bgerror {} {apply {{msg opts} {puts "bgerror: $msg"; flush stdout}}}
    vwait forever
}
