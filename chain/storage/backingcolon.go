package storage

import (
	"fmt"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// parseColon parses PROTOCOL:..., which libvirt supports only for nbd and rbd
// (virStorageSourceParseBackingColon, libvirt 9.0 and 11.3). QEMU also knows
// file: and host_device:.
func parseColon(s string) (*libvirtxml.DomainDiskSource, error) {
	protocol, rest, _ := strings.Cut(s, ":")
	switch protocol {
	case "nbd":
		return parseNBD(rest)
	case "rbd":
		return parseRBD(rest)
	}
	return nil, fmt.Errorf("%w: its protocol is unknown, or needs another form", ErrBacking)
}

// parseNBD reads HOST:PORT[:exportname=NAME], with an IPv6 address in brackets,
// or unix:SOCKET[:exportname=NAME].
func parseNBD(s string) (*libvirtxml.DomainDiskSource, error) {
	server, export, _ := strings.Cut(s, ":exportname=")
	host, err := nbdHost(server)
	if err != nil {
		return nil, err
	}
	return networkSource("nbd", export, host), nil
}

func nbdHost(s string) (libvirtxml.DomainDiskSourceHost, error) {
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		return unixHost(socket)
	}
	var name, port string
	var ok bool
	if inner, bracket := strings.CutPrefix(s, "["); bracket {
		name, port, ok = strings.Cut(inner, "]:")
	} else {
		name, port, ok = strings.Cut(s, ":")
	}
	if !ok || port == "" {
		return libvirtxml.DomainDiskSourceHost{}, fmt.Errorf("%w: its server has no port", ErrBacking)
	}
	return tcpHost("nbd", name, port)
}

// parseRBD reads POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:KEY=VALUE...], as
// virStorageSourceParseRBDColonString does (libvirt 9.0). QEMU also unescapes
// backslashes in the name, libvirt does not.
func parseRBD(s string) (*libvirtxml.DomainDiskSource, error) {
	name, options, hasOptions := strings.Cut(s, ":")
	if strings.Contains(name, `\`) {
		return nil, fmt.Errorf("%w: a backslash in the image's name", ErrDisputed)
	}
	name, snapshot, hasSnapshot := strings.Cut(name, "@")
	if hasSnapshot && snapshot == "" {
		return nil, fmt.Errorf("%w: its snapshot has no name", ErrBacking)
	}
	parts := strings.Split(name, "/")
	if len(parts) > 3 {
		return nil, fmt.Errorf("%w: the image's name has too many slashes", ErrBacking)
	}
	src, err := rbdSource(parts...)
	if err != nil {
		return nil, err
	}
	rbdDetails(src, snapshot, "")
	if !hasOptions {
		return src, nil
	}
	given := make(map[string]bool)
	for _, option := range splitEscaped(options) {
		key, value, ok := strings.Cut(option, "=")
		switch {
		case !ok || value == "":
			return nil, fmt.Errorf("%w: an option without a value", ErrBacking)
		case given[key]:
			return nil, ErrDuplicate
		}
		given[key] = true
		switch key {
		case "mon_host":
			if src.Network.Hosts, err = rbdMonitors(value); err != nil {
				return nil, err
			}
		case "conf":
			if strings.Contains(value, `\`) {
				return nil, fmt.Errorf("%w: a backslash in conf", ErrDisputed)
			}
			if err := absolute(value); err != nil {
				return nil, err
			}
			rbdDetails(src, "", value)
		default:
			return nil, unmapped(key)
		}
	}
	return src, nil
}

// rbdSource makes a source from pool, optional namespace, and image.
func rbdSource(parts ...string) (*libvirtxml.DomainDiskSource, error) {
	if len(parts) < 2 {
		return nil, ErrNoPool
	}
	for _, part := range parts {
		if part == "" {
			return nil, ErrNoPool
		}
		if strings.Contains(part, "/") {
			return nil, fmt.Errorf("%w: it has a slash in it", ErrUnrepresentable)
		}
	}
	return networkSource("rbd", strings.Join(parts, "/")), nil
}

// rbdDetails adds snapshot and config unless they are "".
func rbdDetails(src *libvirtxml.DomainDiskSource, snapshot, config string) {
	if snapshot != "" {
		src.Network.Snapshot = &libvirtxml.DomainDiskSourceNetworkSnapshot{Name: snapshot}
	}
	if config != "" {
		src.Network.Config = &libvirtxml.DomainDiskSourceNetworkConfig{File: config}
	}
}

// splitEscaped splits at every colon without a backslash before it.
func splitEscaped(s string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ':':
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// rbdMonitors reads the addresses of mon_host: HOST or HOST\:PORT, IPv6 as
// [A\:\:B]\:PORT, separated by "\;", "\," or "\ ".
func rbdMonitors(s string) ([]libvirtxml.DomainDiskSourceHost, error) {
	var hosts []libvirtxml.DomainDiskSourceHost
	for _, address := range strings.Split(strings.NewReplacer(`\,`, `\;`, `\ `, `\;`).Replace(s), `\;`) {
		name, port, hasPort := strings.Cut(address, `\:`)
		if inner, ok := strings.CutPrefix(address, "["); ok {
			if name, port, hasPort = strings.Cut(inner, `]\:`); !hasPort {
				// libvirt reads past the end of such an address.
				return nil, fmt.Errorf("%w: an IPv6 address needs a port", ErrBacking)
			}
			name = strings.ReplaceAll(name, `\:`, ":")
		}
		if strings.ContainsAny(name, `\[]`) || hasPort && port == "" {
			return nil, fmt.Errorf("%w: an address in mon_host", ErrBacking)
		}
		host, err := tcpHost("rbd", name, port)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}
