# The tests that are the same with every peer program of peers.tcl.
#
# A suite sets peer::command, and in the dict peer::traits
#   name        what its tests' names begin with
#   constraint  what it needs
#   sink        the protocols in which the peer still writes after our end
#   missing     by protocol, the code of the alert it sends where a certificate
#               is required and none given
#   alerts      1 if the peer sends an alert when it refuses a certificate

source [file join [file dirname [file normalize [info script]]] peers.tcl]

namespace eval peer {
    variable traits {}
    variable protocols {tls13 TLSv1.3 tls12 TLSv1.2}
    variable megabytes 3000000
}

# As check, with the suite's name before the number and its constraint.
proc peer::check {number description args} {
    variable traits
    ::check [dict get $traits name]-$number $description -constraints [dict get $traits constraint] {*}$args
}

proc peer::matrix {} {
    AsServer
    AsClient
}

# --- the peer is the server -------------------------------------------------------

proc peer::AsServer {} {
    variable protocols
    variable traits
    variable megabytes
    foreach certificate {server rsa} {
        foreach {kind protocol} $protocols {
            check 1.1.$certificate.$protocol "our client: echo, $certificate, $protocol" -body [string map [list KIND $kind CERT $certificate] {
                lassign [peer::server CERT] pipe port
                set c [connect KIND $port]
                set r [list [dict get [twapi::tls_info $c] protocol] [peer::fact $pipe sni]]
                lappend r {*}[peer::take $c echo $peer::megabytes]
            }] -cleanup {close $c} -result "$protocol localhost got same end eof error {} closenotify 1"
        }
    }
    foreach {kind protocol} $protocols {
        foreach job {sink give half cut} {
            if {$job eq "sink" && $protocol ni [dict get $traits sink]} continue
            set error [expr {$job eq "cut" ? {*without ending the TLS session*} : {}}]
            check 1.2.$job.$protocol "our client: $job, $protocol" -body [string map [list KIND $kind JOB $job] {
                lassign [peer::server server] pipe port
                set c [connect KIND $port]
                set r [peer::take $c JOB $peer::megabytes]
                if {{JOB} eq "half"} {lappend r [child::expect $pipe {^rest (.*)$}]}
                set r
            }] -cleanup {close $c} -match glob -result [string trim "got same end eof\
                error [list $error] closenotify [expr {$job ne "cut"}] [expr {$job eq "half" ? [list [tally $megabytes]] : {}}]"]
        }
        check 1.3.$protocol "our client: ALPN, $protocol" -body [string map [list KIND $kind] {
            lassign [peer::server server alpn=h2,http/1.1] pipe port
            set r {}
            foreach names {{http/1.1} {odd h2} {}} {
                set c [connect KIND $port {*}[expr {[llength $names] ? [list -alpn $names] : {}}]]
                lappend r [dict get [twapi::tls_info $c] alpn] [peer::fact $pipe alpn]
                close $c
            }
            set r
        }] -result {http/1.1 http/1.1 h2 h2 {} -}
        check 1.4.$protocol "our client: ALPN without a common name, $protocol" -body [string map [list KIND $kind] {
            lassign [peer::server server alpn=h2] pipe port
            set f [failure {connect KIND $port -alpn other}]
            list [lindex $f 1 0] [regexp -nocase {no.?application.?protocol} [lindex $f 0]]
        }] -result {TWAPI_WIN32 1}
        check 1.5.$protocol "our client: SNI is the name to verify, none for an address, $protocol" -body [string map [list KIND $kind] {
            lassign [peer::server wildcard] pipe port
            set c [connect KIND $port -peersubject some.wild.example]
            set r [peer::fact $pipe sni]
            close $c
            child::stop $pipe
            lassign [peer::server server] pipe port
            set c [twapi::tls_socket {*}[clientoptions KIND] 127.0.0.1 $port]
            lappend r [peer::fact $pipe sni]
        }] -cleanup {close $c} -result {some.wild.example -}
        foreach auth {want need} {
            check 1.6.$auth.$protocol "our client: certificate asked for ($auth) and given, $protocol" -body [string map [list PROTOCOL $protocol AUTH $auth] {
                lassign [peer::server server ca=[certs::file root.crt] clientauth=AUTH] pipe port
                set c [twapi::tls_socket -credentials [credentials client client -protocols [string map {TLSv tls} PROTOCOL]] localhost $port]
                set r [peer::fact $pipe peer]
                lappend r {*}[peer::take $c echo 1000]
            }] -cleanup {close $c} -result {Test Client got same end eof error {} closenotify 1}
        }
        check 1.7.$protocol "our client: certificate asked for and not given, $protocol" -body [string map [list KIND $kind] {
            lassign [peer::server server ca=[certs::file root.crt] clientauth=want] pipe port
            set c [connect KIND $port]
            set r [peer::fact $pipe peer]
            lappend r {*}[peer::take $c echo 1000]
        }] -cleanup {close $c} -result {- got same end eof error {} closenotify 1}
        check 1.8.$protocol "our client: certificate required and not given, $protocol" -body [string map [list KIND $kind] {
            lassign [peer::server server ca=[certs::file root.crt] clientauth=need] pipe port
            # With TLS 1.3 the client is open before the server has judged.
            set f [failure {
                set c [connect KIND $port]
                puts $c "echo"
                flush $c
                read $c
            }]
            child::expect $pipe ^refused
            list [wincode $f] [regexp -nocase {alert|certificate} [lindex $f 0]]
        }] -cleanup {catch {close $c}} -result "[dict get $traits missing $protocol] 1"
    }
    check 1.9 "our client refuses the peer's certificate, and the peer hears why" -body {
        lassign [peer::server untrusted] pipe port
        set f [failure {connect tls13 $port}]
        list [wincode $f] [regexp -nocase {unknown.?ca} [child::expect $pipe ^refused.*]]
    } -result {-2146893019 1}
}

# --- the peer is the client -------------------------------------------------------

# Ask for a certificate; without one the answer is NONE, else the chain's.
proc peer::Judge {none chan context} {
    if {[catch {twapi::sspi_remote_cert $context} cert]} {return $none}
    set verdict [twapi::cert_tls_verify $cert]
    twapi::cert_release $cert
    return [expr {$verdict eq "ok"}]
}

# A job of the peer's with our server: what the peer says of the job's
# result and end, and what our side says of it.
proc peer::Serve {job protocol listen client} {
    variable megabytes
    variable done
    variable opened
    set listener [listen {*}$listen]
    try {
        set said [client [port $listener] protocol=$protocol job=$job,$megabytes {*}$client]
        until {[llength $::peer::done]}
    } finally {
        close $listener
    }
    set got [expr {[dict exists $said result] ? [dict get $said result] : {}}]
    if {$got eq [tally $megabytes]} {set got same}
    set end [expr {[dict exists $said end] ? [dict get $said end] : {}}]
    return [list [dict get [lindex $opened 0] protocol] $got $end {*}[lindex $done 0]]
}

proc peer::AsClient {} {
    variable protocols
    variable traits
    foreach certificate {server rsa} {
        foreach {kind protocol} $protocols {
            check 2.1.$certificate.$protocol "our server: echo, $certificate, $protocol" -body [string map [list PROTOCOL $protocol CERT $certificate] {
                peer::Serve echo PROTOCOL [list -credentials [credentials CERT]] {}
            }] -result "$protocol same eof job echo got {} error {} closenotify 1"
        }
    }
    foreach {kind protocol} $protocols {
        foreach {job result} {
            sink {same eof job sink got same error {} closenotify 1}
            give {same eof job give got {} error {} closenotify *}
            half {same eof job half got same error {} closenotify 1}
            cut  {{} {} job cut got same error {*without ending the TLS session*} closenotify 0}
        } {
            if {$job eq "half" && $protocol ni [dict get $traits sink]} continue
            check 2.2.$job.$protocol "our server: $job, $protocol" -body [string map [list PROTOCOL $protocol JOB $job] {
                # A peer that cuts without having read our tickets resets the connection, and what it wrote is gone.
                set lifespan [expr {"JOB" eq "cut" ? {-sessionlifespan 1} : {}}]
                peer::Serve JOB PROTOCOL [list -credentials [credentials server server {*}$lifespan]] {}
            }] -match glob -result "$protocol $result"
        }
        check 2.3.$protocol "our server: ALPN, $protocol" -body [string map [list PROTOCOL $protocol] {
            set listener [peer::listen -alpn {http/1.1 h2}]
            set r {}
            foreach options {alpn=h2 alpn=odd,http/1.1 {}} {
                set said [peer::client [port $listener] protocol=PROTOCOL job=give,10 {*}$options]
                lappend r [dict get $said open alpn] [dict get [lindex $peer::opened end] alpn]
            }
            set r
        }] -cleanup {close $listener} -result {h2 h2 http/1.1 http/1.1 - {}}
        check 2.4.$protocol "our server: ALPN without a common name, $protocol" -body [string map [list PROTOCOL $protocol] {
            set listener [peer::listen -alpn {http/1.1}]
            set said [peer::client [port $listener] protocol=PROTOCOL job=give,10 alpn=odd]
            until {[llength $::support::bgerrors]}
            list [dict exists $said open] [regexp -nocase {no.?application.?protocol} [dict get $said end]] [llength [take_bgerrors]] $peer::opened
        }] -cleanup {close $listener} -result {0 1 1 {}}
        check 2.5.$protocol "our server: SNI, $protocol" -body [string map [list PROTOCOL $protocol] {
            set listener [peer::listen -credentials [credentials wildcard]]
            peer::client [port $listener] protocol=PROTOCOL job=give,10 name=some.wild.example
            dict get [lindex $peer::opened 0] servername
        }] -cleanup {close $listener} -result some.wild.example
        foreach {number what none identity result} {
            6 "asked for and given"         1 client {same eof}
            7 "asked for and not given"     1 {}     {same eof}
            8 "required and given"          0 client {same eof}
        } {
            check 2.$number.$protocol "our server: certificate $what, $protocol" -body [string map [list PROTOCOL $protocol NONE $none ID [list $identity]] {
                lrange [peer::Serve sink PROTOCOL {-requestclientcert -verifier {peer::Judge NONE}} \
                    [peer::identity ID]] 1 6
            }] -result "$result job sink got same"
        }
        foreach {number what identity} {
            9  "required and not given"         {}
            10 "given, of an untrusted root"    stranger
        } {
            check 2.$number.$protocol "our server: certificate $what, $protocol" -body [string map [list PROTOCOL $protocol ID [list $identity]] {
                set listener [peer::listen -requestclientcert -verifier {peer::Judge 0}]
                set said [peer::client [port $listener] protocol=PROTOCOL job=echo,1000 {*}[peer::identity ID]]
                until {[llength $::support::bgerrors]}
                # Node takes any end for an end; others call it an error.
                list [expr {![dict exists $said result] || [dict get $said result] eq [peer::tally 0]}] [lmap e [take_bgerrors] {lindex $e 1}] $peer::opened
            }] -cleanup {close $listener} -result {1 {{TWAPI TLS VERIFYFAIL}} {}}
        }
    }
    check 2.11 "the peer refuses our certificate: the alert is told, the next connection is served" -body {
        set r {}
        foreach certificate {untrusted expired other} {
            foreach protocol {TLSv1.3 TLSv1.2} {
                set listener [peer::listen -credentials [credentials $certificate]]
                set said [peer::client [port $listener] protocol=$protocol job=give,10]
                until {[llength $::support::bgerrors] || [llength $peer::done]}
                close $listener
                lappend r [dict exists $said result]
                # Node says nothing: it judges when all is done, and just leaves.
                set alert [regexp {the alert (certificate_\w+)} [take_bgerrors] -> name]
                if {$alert != [dict get $peer::traits alerts]} {lappend r "$certificate $protocol: $alert"}
            }
        }
        lappend r [lrange [peer::Serve give TLSv1.3 {} {}] 0 2]
    } -result {0 0 0 0 0 0 {TLSv1.3 same eof}}
}
