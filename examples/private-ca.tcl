#!/usr/bin/env tclsh
# private-ca.tcl: a certificate authority of one's own, in a folder.
#
# Everything is in files that other programs read as well: ca.pem is what clients are told to trust; NAME.pem holds a
# certificate and its key, NAME.pfx the same as a PFX file, NAME.crt the certificate alone.
package require Tcl 8.6-
package require twapi_crypto

set usage {usage: private-ca.tcl ?options? FOLDER init ?TITLE?
       private-ca.tcl ?options? FOLDER issue server NAME ?NAME ...?
       private-ca.tcl ?options? FOLDER issue client NAME
       private-ca.tcl ?options? FOLDER renew NAME
       private-ca.tcl FOLDER list

Names of a server are host names, wildcards such as *.example.org, and IP addresses; the first gives the files their
name. A client's name is that of a person or a machine, or an email address.

  -days N            how long it is valid; default 3650 for the authority, 365 for others
  -keytype TYPE      ecdsa-p256, ecdsa-p384, ed25519 or rsa; by default the first, and what was before where it is renewed

The environment variable CA_PASSWORD, if it is set, enciphers the authority's own key; PFX_PASSWORD is the password of
the PFX files, else they have an empty one. Keys are readable by nobody else. There is no revocation: issue for a short
time, and renew.}

array set options {-days "" -keytype ""}

proc fail {message {status 1}} {
    puts stderr "private-ca: $message"
    exit $status
}

proc parse_options {words} {
    global options usage
    while {[string match -?* [lindex $words 0]]} {
        set words [lassign $words name]
        if {$name in {-help --help -h}} {
            puts $usage
            exit
        } elseif {![info exists options($name)]} {
            fail "there is no option $name; -help tells which there are" 2
        } elseif {![llength $words]} {
            fail "option $name needs a value" 2
        }
        set words [lassign $words options($name)]
    }
    if {$options(-days) ne "" && (![string is integer -strict $options(-days)] || $options(-days) < 1)} {
        fail "option -days needs a number" 2
    }
    return $words
}

proc wrong_usage {} {
    puts stderr $::usage
    exit 2
}

# --- files ------------------------------------------------------------------------------------------------------------

proc path {name} {
    return [file join $::folder $name]
}

proc read_file {name} {
    set f [open [path $name] rb]
    try {return [read $f]} finally {close $f}
}

# Writes a file at once: nobody ever sees half of it, and of a key nobody but the owner anything.
proc write_file {name mode bytes} {
    set part [path .$name.[pid]]
    set f [open $part {WRONLY CREAT EXCL BINARY} $mode]
    try {
        chan configure $f -translation binary
        puts -nonewline $f $bytes
        close $f
        file rename -force $part [path $name]
    } on error {message details} {
        catch {close $f}
        file delete $part
        return -options $details $message
    }
}

# The options for a password that is in an environment variable.
proc password {variable} {
    return [expr {[info exists ::env($variable)] && $::env($variable) ne "" ? [list -password $::env($variable)] : ""}]
}

# --- certificates -----------------------------------------------------------------------------------------------------

# The authority's certificate, with its key.
proc authority {} {
    if {![file exists [path ca.pem]]} {error "there is no authority in \"$::folder\"; \"init\" makes one"}
    set store [twapi::cert_temporary_store -pem [read_file ca.pem]\n[read_file ca.key] {*}[password CA_PASSWORD]]
    set cert [twapi::cert_store_find_certificate $store has_private_key]
    twapi::cert_store_release $store
    if {$cert eq ""} {error "ca.key does not belong to ca.pem"}
    return $cert
}

proc validity {days} {
    if {$::options(-days) ne ""} {set days $::options(-days)}
    return [expr {[clock seconds] + 86400 * $days}]
}

# The kind of key to make: as the options say, else DEFAULT.
proc keytype {{default ecdsa-p256}} {
    return [list -keytype [expr {$::options(-keytype) eq "" ? $default : $::options(-keytype)}]]
}

# The kind of key that a certificate has.
proc keytype_of {facts} {
    return [dict get {
        1.2.840.113549.1.1.1 rsa 1.3.101.112 ed25519 {1.2.840.10045.2.1 P-256} ecdsa-p256 {1.2.840.10045.2.1 P-384} ecdsa-p384
    } [string trim "[lindex [dict get $facts -publickey] 0] [dict get $facts -curve]"]]
}

proc init {title} {
    file mkdir $::folder
    if {$::tcl_platform(platform) eq "unix"} {file attributes $::folder -permissions 0700}
    foreach name {ca.pem ca.key} {
        if {[file exists [path $name]]} {error "there is an authority already: [path $name]"}
    }
    set ca [twapi::cert_create_self_signed [subject $title] {*}[keytype] -basicconstraints {1 0} \
        -end [validity 3650]]
    write_file ca.key 0600 [twapi::cert_export_key $ca {*}[password CA_PASSWORD]]
    write_file ca.pem 0644 [twapi::cert_export $ca]
    puts "[path ca.pem] is what clients are to trust"
}

# A name as a subject. What would need quoting there is not taken.
proc subject {name} {
    if {![regexp {^[\w*][\w*.:@ -]*$} $name]} {error "this is no name that can be used: \"$name\""}
    return "CN=$name"
}

# What the files of a name begin with.
proc file_name {name} {
    set name [regsub -all {[^\w.@-]} $name _]
    if {[string tolower $name] eq "ca"} {error "\"$name\" is the authority's name"}
    return $name
}

# The alternative names of a server's certificate.
proc server_names {names} {
    return [lmap name $names {
        if {[regexp {^[0-9.]+$|:} $name]} {
            list ip $name
        } elseif {[regexp {^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$} $name]} {
            list dns $name
        } else {
            error "this is no host name and no address: \"$name\""
        }
    }]
}

proc issue {kind names} {
    set name [lindex $names 0]
    if {[file exists [path [file_name $name].crt]]} {error "\"$name\" has a certificate already; \"renew\" makes another"}
    switch -- $kind {
        server {sign $name [server_names $names] server_auth [keytype]}
        client {sign $name [expr {[string match *@* $name] ? [list [list email $name]] : ""}] client_auth [keytype]}
    }
}

# A new certificate with a new key for the names of the old one.
proc renew {name} {
    set base [file_name $name]
    if {![file exists [path $base.crt]]} {error "there is no certificate of \"$name\"; \"list\" shows which there are"}
    set old [twapi::cert_import [read_file $base.crt]]
    set facts [twapi::cert_info $old]
    sign [twapi::cert_subject_name $old -name oid_common_name] [dict get $facts -altnames] \
        [dict get $facts -enhkeyusage] [keytype [keytype_of $facts]]
    twapi::cert_release $old
}

proc sign {name altnames usage keytype} {
    set base [file_name $name]
    set ca [authority]
    # It cannot be good for longer than its issuer is.
    set end [expr {min([validity 365], [dict get [twapi::cert_info $ca] -end])}]
    set names [expr {[llength $altnames] ? [list -altnames $altnames] : ""}]
    set cert [twapi::cert_create [subject $name] {} $ca {*}$keytype {*}$names -enhkeyusage $usage -end $end]
    set store [twapi::cert_temporary_store]
    twapi::cert_release [twapi::cert_store_add_certificate $store $cert]
    set password [lindex [password PFX_PASSWORD] 1]
    write_file $base.pfx 0600 [twapi::cert_store_export_pfx $store $password]
    write_file $base.pem 0600 [twapi::cert_export $cert][twapi::cert_export_key $cert]
    # The last, as it is what tells that there is one.
    write_file $base.crt 0644 [twapi::cert_export $cert]
    puts "[path $base.pem] is valid until [day $end]"
}

proc day {time} {
    return [clock format $time -format %Y-%m-%d -gmt 1]
}

proc list_all {} {
    if {![file exists [path ca.pem]]} {error "there is no authority in \"$::folder\"; \"init\" makes one"}
    set lines [list [list NAME KIND "VALID UNTIL" STATE "FOR"]]
    foreach file [concat ca.pem [lsort -dictionary [glob -nocomplain -directory $::folder -tails *.crt]]] {
        set cert [twapi::cert_import [read_file $file]]
        set facts [twapi::cert_info $cert]
        set usage [dict get $facts -enhkeyusage]
        set kind [expr {$file eq "ca.pem" ? "authority" : "1.3.6.1.5.5.7.3.1" in $usage ? "server" : "client"}]
        set left [expr {([dict get $facts -end] - [clock seconds]) / 86400}]
        set state [expr {$left < 0 ? "expired" : "$left days left"}]
        lappend lines [list [twapi::cert_subject_name $cert -name oid_common_name] $kind [day [dict get $facts -end]] $state \
            [join [lmap altname [dict get $facts -altnames] {lindex $altname 1}] ", "]]
        twapi::cert_release $cert
    }
    set format ""
    foreach column {0 1 2 3} {
        set width [tcl::mathfunc::max {*}[lmap line $lines {string length [lindex $line $column]}]]
        append format "%-${width}s  "
    }
    foreach line $lines {puts [string trimright [format "$format%s" {*}$line]]}
}

chan configure stdout -encoding utf-8
set words [lassign [parse_options $argv] folder command]
try {
    switch -glob -- "$command [llength $words]" {
        "init 0"   {init "Private CA"}
        "init 1"   {init [lindex $words 0]}
        "issue *"  {
            set names [lassign $words kind]
            if {!($kind eq "server" && [llength $names]) && !($kind eq "client" && [llength $names] == 1)} wrong_usage
            issue $kind $names
        }
        "renew 1"  {renew [lindex $words 0]}
        "list 0"   {list_all}
        default    wrong_usage
    }
} on error {message} {
    fail $message
}
