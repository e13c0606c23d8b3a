
restore() { # LABEL IMAGE KEY CLUSTER SHA256 GUEST...
	label=$1 image=$2 key=$3 cluster=$4 scanned=$5
	shift 5
	[ -e "$key.state" ] || return
	now=$(first_cluster | sum)
	if [ "$now" = "$scanned" ]; then
		printf '%s: already has its old header\n' "$label"
		return
	fi
	[ "$now" = "$(sum <"$key.after")" ] || left 'its header is not what the rebase has left' || return
	[ "$(stamp)" = "$(cat <"$key.state")" ] || left 'it was written to since the rebase' || return
	[ "$(sum <"$key.before")" = "$scanned" ] || left 'the saved cluster is not the one that was scanned' || return
	guests_off "$@" || return
	trap '' HUP INT TERM
	said=$(qemu-io -f raw -c "write -s $key.before 0 $cluster" -- "$image" </dev/null 2>&1)
	now=$(first_cluster | sum)
	trap - HUP INT TERM
	if [ "$now" = "$scanned" ]; then
		printf '%s: old header restored\n' "$label"
	else
		left "qemu-io has not put it back: $said"
	fi
}

main() {
	require cat cut dd qemu-io sha256sum stat timeout tr virsh
	cd -- "$saved" 2>/dev/null || {
		printf 'nothing was recorded\n'
		exit 0
	}
