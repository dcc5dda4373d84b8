# Sourced by scripts/test-chart and scripts/test-manual: API servers that run alone, on loopback, with an etcd of their own. Wants the
# variables `root` (the repository), `kube` (the folder of the control plane) and `work` (a folder that goes when the script ends), and
# keeps what it started in `started`.
# shellcheck shell=bash disable=SC2154 # set by whoever sources it

# shellcheck source=scripts/said.sh
. "$root/scripts/said.sh"

# Below the ports that connections are given (ip_local_port_range): one of these may be taken before somebody listens there.
free_port() {
    python3 -c '
import random, socket
while True:
    port = random.randrange(10000, 30000)
    try:
        socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break'
}

started=()
# shellcheck disable=SC2317 # called by the trap
end() {
    [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

version=$("$kube/kube-apiserver" --version)
minor=$(sed -E 's/.*v1\.([0-9]+).*/\1/' <<<"$version")

# The etcd of the API servers: each has a prefix of its own in it.
start_store() {
    local store peer
    store=$(free_port) peer=$(free_port)
    token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    (umask 077; echo "$token,tester,tester,system:masters" > "$work/tokens")
    openssl genrsa -out "$work/account.key" 2048 2>/dev/null
    etcd --data-dir "$work/etcd" --logger zap --listen-client-urls "http://127.0.0.1:$store" \
        --advertise-client-urls "http://127.0.0.1:$store" --listen-peer-urls "http://127.0.0.1:$peer" \
        --unsafe-no-fsync >"$work/etcd.log" 2>&1 &
    started+=($!)
    store_url=http://127.0.0.1:$store
}

# start_server NAME: an API server, and a context of that name in $KUBECONFIG. It need not be ready yet.
start_server() {
    local name=$1 port flags=()
    port=$(free_port)
    mkdir -p "$work/$name"
    [ "$minor" -ge 24 ] || flags+=(--insecure-port=0)
    "$kube/kube-apiserver" --etcd-servers "$store_url" --etcd-prefix "/$name" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 \
        --secure-port "$port" --cert-dir "$work/$name" --token-auth-file "$work/tokens" --authorization-mode RBAC \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$work/account.key" \
        --service-account-signing-key-file "$work/account.key" --service-cluster-ip-range 10.131.0.0/24 \
        --endpoint-reconciler-type none "${flags[@]}" >"$work/$name.log" 2>&1 &
    started+=($!)
    (
        umask 077
        kubectl config set-cluster "$name" --server "https://127.0.0.1:$port" --certificate-authority "$work/$name/apiserver.crt"
        kubectl config set-credentials tester --token "$token"
        kubectl config set-context "$name" --cluster "$name" --user tester
    ) >/dev/null
}

# wait_for_server NAME
wait_for_server() {
    local deadline=$((SECONDS + ${PATIENCE:-120}))
    until [ "$(kubectl --context "$1" get --raw /readyz 2>"$work/said")" = ok ]; do
        [ $SECONDS -lt $deadline ] || { tail -n 20 "$work/$1.log" >&2; cat "$work/said" >&2; fail 'the API server does not become ready'; }
        kill -0 "${started[@]}" 2>/dev/null || { tail -n 20 "$work"/*.log >&2; fail 'an API server or its etcd ended'; }
        sleep 0.5
    done
}
