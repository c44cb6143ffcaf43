#!/bin/sh
# Runs `cargo xtask "$@"`. What even xtask needs to be built is seen to first: cargo, and the C compiler that Rust links
# with. Everything else is installed by xtask itself.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# Debian's names; `gcc` brings the linker, libc6-dev what it links with.
install_compiler() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then as_root=; else
        sudo -n true 2>/dev/null || return 1
        as_root="sudo -n"
    fi
    say "No C compiler found: installing gcc and libc6-dev."
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120"
    { $apt install -y --no-install-recommends gcc libc6-dev ||
        { $apt update && $apt install -y --no-install-recommends gcc libc6-dev; }; } </dev/null >&2
}

# `sudo make install` has root's PATH, where the user's cargo is not: what was built before serves.
case "${1-}" in
    install | uninstall)
        if [ -n "${SUDO_USER-}" ] && [ -x target/debug/xtask ] && [ -d target/package ]; then
            exec target/debug/xtask "$@" --no-build
        fi
        ;;
esac

if ! command -v cargo >/dev/null 2>&1; then
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    export PATH
fi
if ! command -v cargo >/dev/null 2>&1; then
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
    say "Rust is needed to build: no 'cargo' on the PATH, nor in ~/.cargo/bin."
    say "Install Rust $wanted or later, by rustup or from your system's packages"
    say "('rustup' or 'cargo' and 'rustc'), then run this command again."
    exit 1
fi
if ! command -v cc >/dev/null 2>&1 && ! install_compiler; then
    say "A C compiler is needed to build: no 'cc' on the PATH, and it cannot be installed from here."
    say "Install one (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install),"
    say "then run this command again."
    exit 1
fi

exec cargo xtask "$@"
