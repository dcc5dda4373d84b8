#!/usr/bin/env bash
# Builds kube-apiserver, kube-controller-manager and kube-scheduler from Debian's own source
# package `kubernetes`, once, and leaves them where the lab looks for them.
#
#   lab/control-plane/build.sh [--help] [--force]
#
# Needs: Debian packages golang-go and golang-github-modern-go-reflect2-dev, about 5 minutes on
# two cores, 3 GB of disk while it runs and 300 MB after it.
# Leaves: ${TANDEM_CACHE:-~/.cache/tandem}/control-plane/bin/{kube-apiserver,...}
# Not wanted? Set TANDEM_KUBE_BIN to a directory that holds the three programs, of any version
# from 1.20 to current.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${TANDEM_CACHE:-$HOME/.cache/tandem}/control-plane
programs=(kube-apiserver kube-controller-manager kube-scheduler)
started=$SECONDS

usage() { sed -n '2,12s/^# \{0,1\}//p' "$0"; }
say() { printf '==> [%3ds] %s\n' $((SECONDS - started)) "$*"; }
instead() {
    [ ! -e "${log:-}" ] || echo "the whole log: $log" >&2
    echo "instead of building, TANDEM_KUBE_BIN can be set to a directory with ${programs[*]}," >&2
    echo "of any version from 1.20 to current" >&2
}
fail() {
    echo "error: $1" >&2
    echo "  mend it: $2" >&2
    exit 1
}

force=no
case "${1:-}" in
"") ;;
--force) force=yes ;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

mkdir -p "$cache"
# Two builds at once would share one work folder; the second waits and then finds the work done.
exec 9>"$cache/lock"
if ! flock --nonblock 9; then
    say "another build of the control plane is running; waiting for it"
    flock 9
fi
if [ $force = no ] && [ -e "$cache/bin/complete" ]; then
    exit 0
fi

log=$cache/build.log
work=$cache/work
rm -rf "$work"
mkdir -p "$work/apt/lists/partial" "$work/apt/parts" "$work/gopath/src/k8s.io"
: >"$log"
# Whatever fails, the end of the log and what to do instead are shown.
trap 'status=$?; [ $status -eq 0 ] || { tail -n 20 "$log" >&2; instead; }' EXIT

needs=(golang-go golang-github-modern-go-reflect2-dev dpkg-dev)
"$here/../../scripts/ensure-packages" "${needs[@]}" \
    || fail "the Go toolchain is not installed" "apt-get install ${needs[*]}"

# The machine's own package sources, asked for source packages, in a private list directory.
say "fetching Debian's source package kubernetes"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    # The empty line after it: a list may lack its last newline.
    [ -f "$list" ] && { sed -n 's/^deb\([[:space:]]\)/deb-src\1/p' "$list"; echo; } >>"$work/apt/sources.list"
done
for list in /etc/apt/sources.list.d/*.sources; do
    [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/apt/parts/$(basename "$list")"
done
touch "$work/apt/sources.list"
apt=(apt-get -o "Dir::Etc::SourceList=$work/apt/sources.list" -o "Dir::Etc::SourceParts=$work/apt/parts"
    -o "Dir::State::Lists=$work/apt/lists" -o "APT::Sandbox::User=root")
"${apt[@]}" update >>"$log" 2>&1 || fail "apt could not read the source package lists" "see $log"
(cd "$work" && "${apt[@]}" source --download-only kubernetes) >>"$log" 2>&1 \
    || fail "the source package kubernetes could not be fetched" "check that 'apt-get source kubernetes' works on this machine"

say "unpacking it"
description=$(echo "$work"/kubernetes_*.dsc)
tree=$work/gopath/src/k8s.io/kubernetes
dpkg-source --no-check --extract "$description" "$tree" >>"$log" 2>&1
version=$(basename "$description" .dsc)
version=${version#kubernetes_}
version=${version##*really}
version=v${version%%-*}
say "it is Kubernetes $version"

# The vendored reflect2 crashes the API server (SIGSEGV) under Go 1.18 and later.
reflect=$tree/vendor/github.com/modern-go/reflect2
rm -rf "$reflect"
mkdir -p "$reflect"
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2/. "$reflect/"

export GOPATH=$work/gopath GO111MODULE=off CGO_ENABLED=0 GOFLAGS=-trimpath
# -trimpath leaves programs without a default GOROOT, and the generator needs one.
GOROOT=$(go env GOROOT)
export GOROOT GOCACHE=$work/gocache
cd "$tree"

say "generating the OpenAPI definitions"
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen >>"$log" 2>&1
# The packages that ask for definitions; their tests and fixtures are not wanted.
mapfile -t inputs < <(grep --recursive --files-with-matches --include='*.go' '+k8s:openapi-gen=' \
    pkg vendor/k8s.io staging 2>/dev/null | grep -v -e _test.go -e '/testdata/' -e '^staging/' \
    -e zz_generated -e 'kube-openapi/\(test\|pkg/generators\|cmd\)' | xargs -n1 dirname | sort -u)
# vendor/k8s.io holds links into staging/, which grep does not follow.
mapfile -t staged < <(grep --recursive --files-with-matches --include='*.go' '+k8s:openapi-gen=' \
    staging/src 2>/dev/null | grep -v -e _test.go -e '/testdata/' -e '/testapigroup/' -e /sample- \
    -e 'code-generator/' -e zz_generated | xargs -n1 dirname | sort -u | sed 's|^staging/src/||')
packages=("${inputs[@]/#/k8s.io/kubernetes/}" "${staged[@]/#/k8s.io/kubernetes/vendor/}")
say "${#packages[@]} packages carry definitions"
mkdir -p pkg/generated/openapi
"$work/openapi-gen" --logtostderr --go-header-file hack/boilerplate/boilerplate.generatego.txt \
    --input-dirs "$(IFS=,; echo "${packages[*]}")" \
    --output-base "$GOPATH/src" --output-package k8s.io/kubernetes/pkg/generated/openapi \
    --output-file-base zz_generated.openapi --report-filename "$work/openapi-report" >>"$log" 2>&1

say "building the three programs (some minutes)"
minor=${version#v1.}
minor=${minor%%.*}
flags="-s -w"
# --version is answered from one package, /version and the clients' names from the other.
for package in component-base/version client-go/pkg/version; do
    stamp=k8s.io/kubernetes/vendor/k8s.io/$package
    flags="$flags -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor"
    flags="$flags -X $stamp.gitTreeState=archive -X $stamp.buildDate=1970-01-01T00:00:00Z"
done
for program in "${programs[@]}"; do
    go build -ldflags "$flags" -o "$work/bin/$program" "./cmd/$program" >>"$log" 2>&1
    say "built $program"
done
built=$("$work/bin/kube-apiserver" --version)
[ "$built" = "Kubernetes $version" ] || fail "the API server calls itself '$built', not 'Kubernetes $version'" "see $log"

rm -rf "$cache/bin"
mv "$work/bin" "$cache/bin"
echo "$version" >"$cache/bin/complete"
cd "$cache"
chmod -R u+w "$work"
rm -rf "$work"
say "done: $cache/bin ($version)"
