# What all suites share: the check command, waiting, credentials, constraints.
#
#   check NAME DESCRIPTION ?-kinds LIST? -body … -result …
#
# is tcltest's test with a few more duties: it runs once for each kind of
# LIST with $kind set ("plain" is the control: the same test must pass on a
# plain socket); it fails if a channel, a child, a timer or an unexpected
# background error stays behind; and it removes the globals the test made.

package require Tcl 8.6-
package require tcltest 2.3
namespace import -force ::tcltest::*

namespace eval support {
    variable lib [file dirname [file normalize [info script]]]
    variable tests [file dirname $lib]
    variable patience 30000
    variable bgerrors {}
    variable credentials {}
    variable handles {}
}

# --- the environment of a run ------------------------------------------------

proc support::tmp {} {
    if {[info exists ::env(TEST_TMP)] && $::env(TEST_TMP) ne {}} {
        set dir $::env(TEST_TMP)
    } else {
        set dir [file join [file dirname $::support::tests] target test-tmp]
    }
    file mkdir $dir
    return [file normalize $dir]
}

# The command that starts another interpreter like this one.
proc support::tclsh {} {
    if {[info exists ::env(TCLSH_CMD)] && $::env(TCLSH_CMD) ne {}} {
        return $::env(TCLSH_CMD)
    }
    return [list [info nameofexecutable]]
}

# Trust exactly the root of the tests, whatever the machine exports.
proc support::trust {{file {}}} {
    if {$file eq {}} {set file [certs::file root.crt]}
    set ::env(SSL_CERT_FILE) $file
    unset -nocomplain ::env(SSL_CERT_DIR)
}

# --- tests -------------------------------------------------------------------

proc check {name description args} {
    set o [dict merge {-kinds {} -setup {} -body {} -cleanup {} -constraints {}} $args]
    set rest [dict remove $o -kinds -setup -body -cleanup -constraints]
    set kinds [dict get $o -kinds]
    foreach kind [expr {[llength $kinds] ? $kinds : {{}}}] {
        set constraints [dict get $o -constraints]
        if {$kind ne "plain"} {lappend constraints tls}
        set suffix [expr {$kind eq {} ? {} : "-$kind"}]
        uplevel #0 [list ::tcltest::test $name$suffix $description \
            -constraints [lsort -unique $constraints] \
            -body [list ::support::Run $kind [dict get $o -setup] [dict get $o -body] [dict get $o -cleanup]] \
            {*}$rest]
    }
}

proc support::Run {kind setup body cleanup} {
    variable bgerrors {}
    set channels [chan names]
    set timers [after info]
    set globals [info globals]
    set ::kind $kind
    set code [catch {uplevel #0 $setup\n$body} result options]
    set faults {}
    if {[catch {uplevel #0 $cleanup} msg]} {lappend faults "cleanup: $msg"}
    child::Reap
    relay::Reset
    foreach c [chan names] {
        if {$c ni $channels} {
            lappend faults "channel $c left open"
            catch {fconfigure $c -blocking 0}
            catch {close $c}
        }
    }
    foreach c $channels {
        if {$c ni [chan names]} {lappend faults "channel $c vanished"}
    }
    foreach id [after info] {
        if {$id ni $timers} {
            lappend faults "timer left: [after info $id]"
            after cancel $id
        }
    }
    foreach e $bgerrors {lappend faults "background error: $e"}
    set bgerrors {}
    foreach g [info globals] {
        if {$g ni $globals} {unset -nocomplain ::$g}
    }
    if {[llength $faults]} {
        if {$code == 1} {lappend faults "result: $result" [dict get $options -errorinfo]}
        return -code error "test left faults:\n  [join $faults "\n  "]"
    }
    if {$code == 2} {return $result}
    return -options $options $result
}

proc support::BgError {msg options} {
    variable bgerrors
    lappend bgerrors [list $msg [dict get $options -errorcode]]
}
interp bgerror {} ::support::BgError

# The background errors so far, which the test thereby answers for: a list of
# {message errorcode}.
proc take_bgerrors {} {
    set e $::support::bgerrors
    set ::support::bgerrors {}
    return $e
}

# What went wrong in SCRIPT: {message errorcode}. Success is an error.
proc failure {script} {
    if {[catch {uplevel 1 $script} result options] != 1} {
        error "no error, but the result: [string range $result 0 200]"
    }
    return [list $result [dict get $options -errorcode]]
}

# The code of behaviour.md, section 8, out of a {message errorcode} pair.
proc wincode {failure} {
    lassign [lindex $failure 1] facility code
    if {$facility ne "TWAPI_WIN32"} {error "errorCode is not TWAPI_WIN32 but: $failure"}
    return $code
}

# --- waiting: by events, with a watchdog that fails the test ------------------

# Run the event loop until global variable NAME is written; returns its value.
proc await {name {ms {}}} {
    if {$ms eq {}} {set ms $::support::patience}
    set id [after $ms [list set ::$name ::support::expired]]
    vwait ::$name
    after cancel $id
    if {[set ::$name] eq "::support::expired"} {
        return -code error "nothing set \"$name\" in $ms ms"
    }
    return [set ::$name]
}

# Run the event loop until the expression (over globals) holds.
proc until {condition {ms {}}} {
    if {$ms eq {}} {set ms $::support::patience}
    set end [expr {[clock milliseconds] + $ms}]
    while {![uplevel #0 [list expr $condition]]} {
        if {[clock milliseconds] > $end} {
            return -code error "not within $ms ms: $condition"
        }
        set id [after 2 {set ::support::tick 1}]
        vwait ::support::tick
        after cancel $id
    }
}

# Run the event loop for a while; for tests that nothing happens.
proc idle {ms} {
    after $ms {set ::support::idled 1}
    vwait ::support::idled
}

# CPU time of this process so far, in clock ticks (1/100 s).
proc cputicks {} {
    set f [open /proc/self/stat]
    set fields [split [lindex [split [read $f] )] end]]
    close $f
    return [expr {[lindex $fields 12] + [lindex $fields 13]}]
}

# Resident memory of process PID in KB.
proc rss {{pid self}} {
    set f [open /proc/$pid/status]
    set text [read $f]
    close $f
    regexp {VmRSS:\s+(\d+)} $text -> kb
    return $kb
}

# N bytes that differ enough to notice a mistake.
proc pattern {n {seed 1}} {
    set block {}
    for {set i 0} {$i < 1000} {incr i} {append block [format "%07d/%d\n" $i $seed]}
    set count [expr {$n / [string length $block] + 1}]
    return [string range [string repeat $block $count] 0 $n-1]
}

# --- credentials, made once per suite -----------------------------------------

# Credentials of certificate NAME for ROLE; further arguments go to
# sspi_schannel_credentials. An empty NAME: credentials without certificate.
proc credentials {name {role server} args} {
    variable ::support::credentials
    set key [list $name $role $args]
    if {![dict exists $credentials $key]} {
        if {$name ne {}} {
            set cert [certificate $name]
            lappend args -certificates [list $cert]
        }
        dict set credentials $key [twapi::sspi_acquire_credentials -package unisp -role $role \
            -credentials [twapi::sspi_schannel_credentials {*}$args]]
        if {$name ne {}} {twapi::cert_release $cert}
    }
    return [dict get $credentials $key]
}

# A handle of certificate NAME with its key (from NAME.pem); to be released.
proc certificate {name} {
    set store [twapi::cert_temporary_store -pem [certs::text $name.pem]]
    try {
        set cert [twapi::cert_store_find_certificate $store]
        if {$cert eq {}} {error "no certificate in $name.pem"}
        return $cert
    } finally {
        twapi::cert_store_release $store
    }
}

# A handle of the certificate in NAME.crt, no key; to be released.
proc justcertificate {name} {
    return [twapi::cert_import [certs::text $name.crt] -encoding pem]
}

# --- constraints ---------------------------------------------------------------

# A constraint whose absence is explained on stdout.
proc support::Constraint {name met reason} {
    testConstraint $name $met
    if {!$met} {puts stdout "constraint $name not met: $reason"}
}

proc support::tool {name program} {
    Constraint $name [expr {[auto_execok $program] ne {}}] "$program is not installed"
}

# Constraint NAME holds unless SCRIPT says that this version has no such thing.
proc support::Offered {name script} {
    set lacking [expr {[catch {uplevel #0 $script} msg] && [string match {*not supported by this version*} $msg]}]
    Constraint $name [expr {!$lacking}] $msg
}

# Load the package; without it the TLS kinds are skipped, and the suite says so.
proc support::Load {} {
    if {[catch {package require twapi_crypto} msg]} {
        if {[info exists ::env(TEST_WITHOUT_TLS)]} {
            Constraint tls 0 $msg
        } else {
            puts stderr "twapi_crypto cannot be loaded: $msg"
            exit 1
        }
    } else {
        testConstraint tls 1
    }
}

foreach f {certs children pairs} {source [file join $::support::lib $f.tcl]}

if {[info exists ::argv0] && [file extension $::argv0] eq ".test"} {configure {*}$::argv}
support::tool openssl openssl
support::Constraint threads [expr {![catch {package require Thread}]}] "the Thread package is not installed"
testConstraint linux [expr {$tcl_platform(os) eq "Linux"}]
testConstraint tcl9 [package vsatisfies [info patchlevel] 9.0-]
testConstraint tcl86 [package vsatisfies [info patchlevel] 8.6]
support::trust
support::Load
