# Sourced by the other scripts: how they say what they do, and why they end.
# shellcheck shell=bash

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
