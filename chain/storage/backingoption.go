package storage

import "fmt"

// credentials are the options of QEMU's network drivers that identify a user,
// or hold or name a secret (qapi/block-core.json, 7.2 and 10.0), and those that
// rbd: strings hand to Ceph.
var credentials = map[string]bool{
	"user": true, "username": true, "password": true, "password-secret": true,
	"proxy-username": true, "proxy-password": true, "proxy-password-secret": true,
	"cookie-secret": true, "key-secret": true, "=keyvalue-pairs": true,
	"id": true, "key": true, "keyring": true, "keyfile": true,
}

// known are the other options that QEMU reads and libvirt drops. They may be
// shown; a name that is not among them may be a secret that has slipped.
var known = map[string]bool{
	"tls-creds": true, "tls-hostname": true, "reconnect-delay": true, "open-timeout": true,
	"namespace": true, "auth-client-required": true, "auth_supported": true, "auth_client_required": true, "encrypt": true,
	"initiator-name": true, "header-digest": true,
	"host_key_check": true, "host-key-check": true,
	"sslverify": true, "cookie": true, "readahead": true, "timeout": true,
	"debug": true, "logfile": true, "snapshot": true, "snap-id": true, "tag": true,
	"uid": true, "gid": true, "tcp-syn-count": true, "readahead-size": true, "page-cache-size": true, "pagecache": true,
	"numeric": true, "to": true, "ipv4": true, "ipv6": true, "keep-alive": true, "mptcp": true, "abstract": true, "tight": true,
	"locking": true, "aio": true, "aio-max-batch": true, "drop-cache": true, "x-check-cache-dropped": true, "pr-manager": true,
	"offset": true, "size": true, "file": true, "backing": true, "driver": true, "filename": true, "path": true, "socket": true,
	"host": true, "port": true, "server": true, "export": true, "url": true, "type": true, "lun": true,
	"node-name": true, "read-only": true, "auto-read-only": true, "discard": true, "cache": true, "detect-zeroes": true, "force-share": true,
}

// unmapped refuses an option that libvirt would drop.
func unmapped(option string) error {
	switch {
	case credentials[option]:
		return fmt.Errorf("%w: %q", ErrCredentials, option)
	case known[option]:
		return fmt.Errorf("%w: %q", ErrUnmapped, option)
	}
	return ErrUnmapped
}
