set -u
LC_ALL=C
export LC_ALL
umask 077
failed=0

left() { # REASON
	printf '%s: not changed: %s\n' "$label" "$(printf '%s' "$1" | tr -c '[:print:]\n' '?')" >&2
	failed=1
	return 1
}

first_cluster() { dd if="$image" bs="$cluster" count=1 iflag=fullblock status=none 2>/dev/null; }

sum() { sha256sum | cut -d ' ' -f 1; }

stamp() { stat -L -c '%i %s %.9Y' -- "$image"; }

# qemu-img and qemu-io refuse an image that a QEMU has open, by its locks. This is
# for guests that have to be shut off first, and for storage without locks.
guests_off() { # 'UUID "NAME"'...
	active=$(timeout 60 virsh -q -c "$libvirt" list --uuid </dev/null 2>&1) || {
		left "libvirt does not say which guests run: $active"
		return 1
	}
	for guest; do
		case $active in
		*"${guest%% *}"*)
			left "the guest ${guest#* } is not shut off"
			return 1
			;;
		esac
	done
}

require() { # PROGRAM...
	for program; do
		command -v "$program" >/dev/null || {
			printf 'nothing was changed: the program %s is missing\n' "$program" >&2
			exit 1
		}
	done
}
