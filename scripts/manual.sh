# Sourced by scripts that run the manual (docs/). Wants the variables `root` (the repository) and `work` (a folder that goes when the
# script ends).
# shellcheck shell=bash disable=SC2154 # set by whoever sources it

# shellcheck source=scripts/said.sh
. "$root/scripts/said.sh"

# block DOCUMENT NAME: prints the block of that document that says that this script runs it under that name, whatever is in it.
block() {
    local document=$root/docs/$1 script=scripts/${0##*/} found
    found=$(awk -v mark="<!-- run: $script $2 -->" '
        $0 == mark { found = 1; next }
        found == 1 && /^```[a-z]/ { found = 2; next }
        found == 2 && /^```$/ { exit }
        found == 2 { print }
    ' "$document")
    [ -n "$found" ] || fail "$document has no block '$2'"
    printf '%s\n' "$found"
}

# run DOCUMENT NAME...: the blocks, in this shell.
run() {
    local document=$1 name
    for name in "${@:2}"; do
        say "$document: $name"
        block "$document" "$name" > "$work/block"
        # shellcheck disable=SC1091 # written just now
        . "$work/block" >"$work/said" 2>&1
    done
}
