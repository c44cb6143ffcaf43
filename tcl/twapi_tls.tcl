# The part of the package that is simpler said in Tcl. Read when the library is loaded.

namespace eval ::twapi::tls {
    # The command that makes TCP sockets; `tls_socket_command` sets it.
    variable _socket_cmd
    if {![info exists _socket_cmd]} {
        set _socket_cmd ::socket
    }
}

# Reports an error that happened in the background. An application may define its own, before or after loading; it
# shall raise an error, the same or another.
if {[llength [info commands ::twapi::tls_background_error]] == 0} {
    proc ::twapi::tls_background_error {message options} {
        return -options $options $message
    }
}

# The hexadecimal digits of binary data, such as a serial number.
proc ::twapi::hex {bytes} {
    binary encode hex $bytes
}

# Runs SCRIPT with VARNAME set to a handle of each certificate of a store, which is released after each round.
proc ::twapi::cert_store_iterate {hstore varname script args} {
    upvar 1 $varname hcert
    if {[llength $args] == 0} {
        set args {any {}}
    }
    set handles {}
    set next [cert_store_find_certificate $hstore {*}$args]
    while {$next ne ""} {
        lappend handles $next
        # Going on uses up the handle it goes on from, so a duplicate does that.
        set next [cert_store_find_certificate $hstore {*}[lrange [list {*}$args {} {}] 0 1] [cert_duplicate $next]]
    }
    try {
        foreach hcert $handles {
            uplevel 1 $script
        }
    } finally {
        foreach handle $handles {
            catch {cert_release $handle}
        }
    }
    return
}
