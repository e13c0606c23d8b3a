
record() { # LABEL IMAGE KEY CLUSTER SHA256 FORMAT NAME GUEST...
	label=$1 image=$2 key=$3 cluster=$4 scanned=$5 format=$6 name=$7
	shift 7
	before=$saved/$key.before after=$saved/$key.after state=$saved/$key.state
	now=$(first_cluster | sum)
	if [ -e "$state" ] && [ "$now" = "$(sum <"$after")" ]; then
		printf '%s: already recorded\n' "$label"
		return
	fi
	[ "$now" = "$scanned" ] || left 'its header is not the one that was scanned; scan again' || return
	guests_off "$@" || return

	rm -f -- "$state"
	first_cluster >"$before" && cp -- "$before" "$after" && sync -- "$before" "$after" &&
		[ "$(sum <"$before")" = "$scanned" ] || left "its first cluster cannot be saved in $saved" || return
	trap '' HUP INT TERM
	said=$(qemu-img rebase -u -f qcow2 -F "$format" -b "$name" -- "$image" </dev/null 2>&1)
	status=$?
	first_cluster | dd of="$after" conv=notrunc status=none
	now=$(sum <"$after")
	if [ "$now" = "$scanned" ]; then
		rm -f -- "$before" "$after"
	else
		stamp >"$state"
		sync -- "$after" "$state"
	fi
	trap - HUP INT TERM
	if [ "$now" = "$scanned" ]; then
		left "qemu-img has changed nothing: $said"
	elif [ "$status" -ne 0 ]; then
		printf '%s: changed, but qemu-img failed; the other script undoes it: %s\n' "$label" "$(printf '%s' "$said" | tr -c '[:print:]\n' '?')" >&2
		failed=1
	else
		printf '%s: recorded %s\n' "$label" "$format"
	fi
}

main() {
	require cp cut dd qemu-img rm sha256sum stat sync timeout tr virsh
	mkdir -p -- "$saved" || exit 1
