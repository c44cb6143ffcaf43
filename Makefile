# For people used to `make`: every target is `cargo xtask …` (see `cargo xtask help`), called through a script that first
# makes sure there are a Rust toolchain and a C compiler to build with.
#
#   make                  an installable package in target/package
#   make demo             fetch a page and a file over HTTPS, in Tcl 8.6 and in Tcl 9
#   make test             all tests      [TESTS=PATTERN] [TCL=8.6|9]
#   make doc              manual pages in target/manual: for man, and as HTML
#   make bench            measure beside other TLS for Tcl      [CASES=LIST] [ROUNDS=5] [SCALE=1]
#   make install          put the package where tclsh finds it      [PREFIX=/usr/local] [TCLLIBDIR=DIR] [DESTDIR=DIR]
#   make uninstall        and remove it from there      [the same variables]
#   make dist             a versioned tar.gz in target/dist
#   make deb              a Debian package in target/dist
#   make clean            remove what was built

XTASK = @sh xtask/run.sh

# Passed on only where given, so that xtask knows a wish from a default. Through the environment: no quoting needed.
export PREFIX DESTDIR TCLLIBDIR TESTS TCL CASES ROUNDS SCALE

all: package

package:
	$(XTASK) package

demo:
	$(XTASK) demo

test:
	$(XTASK) test

check: test

bench:
	$(XTASK) bench

install:
	$(XTASK) install

uninstall:
	$(XTASK) uninstall

doc:
	$(XTASK) doc

dist:
	$(XTASK) dist

deb:
	$(XTASK) deb

clean:
	cargo clean

.PHONY: all package demo test check bench install uninstall doc dist deb clean
