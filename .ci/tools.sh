#!/usr/bin/env bash
# Sourced by ./run and ./test: installs the Debian packages a build needs and the machine lacks.

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# install_missing command:package... installs the packages whose command is not there.
install_missing() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
    done
    if [ ${#packages[@]} -gt 0 ]; then
        echo "Installing ${packages[*]}" >&2
        as_root apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "${packages[@]}"
    fi
}

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
    # shellcheck source=/dev/null
    . "$HOME/.cargo/env"
fi
if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install it from https://rustup.rs, then try again." >&2
    exit 1
fi
