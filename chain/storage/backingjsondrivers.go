package storage

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// parseJSON parses the part after "json:". The driver is described by the
// object itself or, if it has no "driver", by its "file"
// (virStorageSourceParseBackingJSON, libvirt 9.0 and 11.3).
func parseJSON(text string) (*libvirtxml.DomainDiskSource, error) {
	decoded, err := decodeObject(text)
	if err != nil {
		return nil, err
	}
	flat, err := decoded.unflatten()
	if err != nil {
		return nil, err
	}
	root, ok := relist(flat).(*object)
	if !ok {
		return nil, fmt.Errorf("%w: it has no options", ErrBacking)
	}
	o := &options{values: root.values}
	if o.has("driver") || !o.has("file") {
		return parseDriver(o, true)
	}
	src, err := parseDriver(o.object("file"), true)
	if err != nil {
		return nil, err
	}
	o.done()
	if o.err != nil {
		return nil, o.err
	}
	return src, nil
}

// parseDriver parses the options of a block driver. The only format driver
// that libvirt supports is raw, and only once.
func parseDriver(o *options, format bool) (*libvirtxml.DomainDiskSource, error) {
	if o.err != nil {
		return nil, o.err
	}
	name := o.name("driver")
	parse := driverNamed(name)
	if name == "raw" && format {
		parse = parseRaw
	}
	if parse == nil {
		o.fail(fmt.Errorf("%w: libvirt does not support such a driver there", ErrBacking))
		return nil, o.err
	}
	src, err := parse(name, o)
	if o.err == nil && err == nil {
		o.done()
	}
	if err = cmp.Or(o.err, err); err != nil {
		return nil, err
	}
	return src, nil
}

// A driverParser takes the options of a driver that libvirt uses. Its result
// is valid only if o has no error either.
type driverParser func(name string, o *options) (*libvirtxml.DomainDiskSource, error)

// drivers are those of libvirt's jsonParsers, the same in 9.0 and 11.3, without
// raw.
var drivers = []struct {
	name  string
	parse driverParser
}{
	{"file", parseFile},
	{"host_device", parseFile},
	{"host_cdrom", parseFile},
	{"http", parseCurl},
	{"https", parseCurl},
	{"ftp", parseCurl},
	{"ftps", parseCurl},
	{"tftp", parseCurl},
	{"gluster", parseGluster},
	{"iscsi", parseISCSI},
	{"nbd", parseNBDOptions},
	{"sheepdog", parseSheepdog},
	{"ssh", parseSSH},
	{"rbd", parseRBDOptions},
	{"nfs", parseNFS},
	{"vxhs", parseVxHS},
	{"nvme", parseNVMe},
}

// driverNamed returns the parser of a driver, or nil.
func driverNamed(name string) driverParser {
	for _, d := range drivers {
		if d.name == name {
			return d.parse
		}
	}
	return nil
}

// parseRaw: an offset and a size make a slice. To libvirt a missing size means
// 0, to QEMU the rest of the file.
func parseRaw(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	var slice *libvirtxml.DomainDiskSlice
	limit := uint64(min(math.MaxInt64, uint64(math.MaxUint)))
	switch {
	case o.has("size"):
		slice = &libvirtxml.DomainDiskSlice{Type: "storage", Size: uint(o.number("size", limit))}
		if o.has("offset") {
			slice.Offset = uint(o.number("offset", limit))
		}
	case o.has("offset"):
		o.fail(fmt.Errorf("%w: an offset without a size", ErrDisputed))
	}
	src, err := parseDriver(o.object("file"), false)
	if err == nil && slice != nil {
		src.Slices = &libvirtxml.DomainDiskSlices{Slices: []libvirtxml.DomainDiskSlice{*slice}}
	}
	return src, err
}

// parseFile: QEMU resolves a relative name from its own working directory.
func parseFile(driver string, o *options) (*libvirtxml.DomainDiskSource, error) {
	path := o.name("filename")
	return LocalSource(path, driver != "file"), absolute(path)
}

// parseCurl parses a URL and the options of the request.
func parseCurl(driver string, o *options) (*libvirtxml.DomainDiskSource, error) {
	src, err := parseNestedURI(driver, o.name("url"))
	if err != nil {
		return nil, err
	}
	if (driver == "https" || driver == "ftps") && o.has("sslverify") {
		src.SSL = &libvirtxml.DomainDiskSourceSSL{Verify: "no"}
		// libguestfs writes "off" (libvirt 9.0 takes it, too).
		if o.values["sslverify"] == "off" {
			o.text("sslverify")
		} else if take[bool](o, "sslverify") {
			src.SSL.Verify = "yes"
		}
	}
	if (driver == "http" || driver == "https") && o.has("cookie") {
		if src.Cookies, err = parseCookies(o.text("cookie")); err != nil {
			return nil, err
		}
	}
	if driver == "tftp" {
		return src, nil
	}
	if n, ok := o.positive("readahead"); ok {
		src.Readahead = &libvirtxml.DomainDiskSourceReadahead{Size: n}
	}
	if n, ok := o.positive("timeout"); ok {
		src.Timeout = &libvirtxml.DomainDiskSourceTimeout{Seconds: n}
	}
	return src, nil
}

// positive takes an optional number. libvirt treats 0 as absent, QEMU does
// not.
func (o *options) positive(key string) (string, bool) {
	if !o.has(key) {
		return "", false
	}
	n := o.number(key, math.MaxInt64)
	if n == 0 {
		o.fail(fmt.Errorf("%w: %q is 0", ErrDisputed, key))
	}
	return strconv.FormatUint(n, 10), true
}

// parseNestedURI parses the URI in an option of a driver. It must have the
// driver's protocol.
func parseNestedURI(driver, uri string) (*libvirtxml.DomainDiskSource, error) {
	src, err := parseURI(uri)
	if err == nil && src.Network.Protocol != driver {
		return nil, fmt.Errorf("%w: the URI has another protocol than the driver", ErrBacking)
	}
	return src, err
}

// parseCookies reads "name=value; name=value". libvirt checks the cookies only
// when the guest starts (virStorageSourceNetCookieValidate, libvirt 9.0),
// after RFC 6265.
func parseCookies(s string) (*libvirtxml.DomainDiskCookies, error) {
	malformed := fmt.Errorf("%w: a malformed cookie", ErrBacking)
	cookies := &libvirtxml.DomainDiskCookies{}
	seen := make(map[string]bool)
	for _, cookie := range strings.Split(s, ";") {
		name, value, ok := strings.Cut(strings.TrimLeft(cookie, " \t\n\v\f\r"), "=")
		bare := value
		if inner, quoted := strings.CutPrefix(value, `"`); quoted {
			if bare, ok = strings.CutSuffix(inner, `"`); !ok {
				return nil, malformed
			}
		}
		switch {
		case !ok || name == "" || strings.ContainsAny(name, " \",;\\()<>@:/[]?={}") || strings.ContainsAny(bare, " \",;\\"):
			return nil, malformed
		case seen[name]:
			return nil, ErrDuplicate
		case value == "":
			return nil, fmt.Errorf("%w: it is empty", ErrUnrepresentable)
		}
		seen[name] = true
		cookies.Cookies = append(cookies.Cookies, libvirtxml.DomainDiskCookie{Name: name, Value: value})
	}
	return cookies, nil
}

func parseGluster(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	if o.has("filename") {
		return parseNestedURI("gluster", o.text("filename"))
	}
	volume, path := o.text("volume"), o.text("path")
	switch {
	case volume == "" || path == "":
		return nil, ErrNoPool
	case strings.Contains(volume, "/"):
		return nil, fmt.Errorf("%w: a slash in the volume's name", ErrUnrepresentable)
	}
	src := networkSource("gluster", volume+"/"+path)
	for _, server := range take[[]any](o, "server") {
		src.Network.Hosts = append(src.Network.Hosts, o.server("gluster", optionsOf(server)))
	}
	if len(src.Network.Hosts) == 0 {
		o.fail(fmt.Errorf("%w: it has no server", ErrBacking))
	}
	return src, nil
}

// parseISCSI: the name is TARGET/LUN, and the portal keeps the brackets of an
// IPv6 address.
func parseISCSI(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	if o.has("filename") {
		return parseNestedURI("iscsi", o.text("filename"))
	}
	if o.text("transport") != "tcp" {
		o.fail(fmt.Errorf("%w: its transport is not tcp", ErrBacking))
	}
	portal, target, lun := o.name("portal"), o.name("target"), uint64(0)
	if strings.Contains(target, "/") {
		o.fail(fmt.Errorf("%w: a slash in the target's name", ErrUnrepresentable))
	}
	if s, ok := o.values["lun"].(string); ok {
		lun = o.parse("lun", s, math.MaxInt32)
		o.text("lun")
	} else if o.has("lun") {
		lun = o.number("lun", math.MaxInt32)
	}
	name, port := portal, ""
	if colon := strings.LastIndexByte(portal, ':'); colon >= 0 && !strings.Contains(portal[colon:], "]") {
		name, port = portal[:colon], portal[colon+1:]
		if port == "" || strings.Contains(name, ":") && !strings.HasPrefix(name, "[") {
			o.fail(fmt.Errorf("%w: its portal has no valid port", ErrBacking))
		}
	}
	host, err := tcpHost("iscsi", name, port)
	return networkSource("iscsi", target+"/"+strconv.FormatUint(lun, 10), host), err
}

func parseNBDOptions(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	src := networkSource("nbd", o.text("export"))
	var host libvirtxml.DomainDiskSourceHost
	var err error
	switch {
	case o.has("server"):
		host = o.server("nbd", o.object("server"))
	case o.has("path"):
		host, err = unixHost(o.text("path"))
	default:
		host = o.tcp("nbd")
	}
	src.Network.Hosts = append(src.Network.Hosts, host)
	return src, err
}

func parseSheepdog(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	if o.has("filename") {
		return parseNestedURI("sheepdog", o.text("filename"))
	}
	if o.values["tag"] == "" {
		o.text("tag") // the default
	}
	return networkSource("sheepdog", o.name("vdi"), o.server("sheepdog", o.object("server"))), nil
}

// parseSSH: libvirt keeps user and host_key_check for the guest's start, but
// the XML of libvirt 9.0 cannot express them, so only their defaults are
// accepted.
func parseSSH(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	if o.values["host_key_check"] == "yes" {
		o.text("host_key_check")
	}
	if o.has("server") {
		return networkSource("ssh", o.name("path"), o.inet("ssh", o.object("server"))), nil
	}
	return networkSource("ssh", o.name("path"), o.tcp("ssh")), nil
}

func parseRBDOptions(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	if o.has("filename") {
		return parseRBD(strings.TrimPrefix(o.text("filename"), "rbd:"))
	}
	parts := []string{o.text("pool")}
	if o.has("namespace") {
		parts = append(parts, o.name("namespace"))
	}
	src, err := rbdSource(append(parts, o.text("image"))...)
	if err != nil {
		return nil, err
	}
	var snapshot, config string
	if o.has("snapshot") {
		snapshot = o.name("snapshot")
	}
	if o.has("conf") {
		config = o.text("conf")
		err = absolute(config)
	}
	rbdDetails(src, snapshot, config)
	if o.has("server") {
		for _, server := range take[[]any](o, "server") {
			src.Network.Hosts = append(src.Network.Hosts, o.inet("rbd", optionsOf(server)))
		}
	}
	return src, err
}

// parseNFS: libvirt requires user and group, as numbers, and refuses a port.
func parseNFS(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	user, group := o.number("user", math.MaxInt32), o.number("group", math.MaxInt32)
	src := networkSource("nfs", o.name("path"), o.inet("nfs", o.object("server")))
	src.Network.Identity = &libvirtxml.DomainDiskSourceNetworkIdentity{
		User: "+" + strconv.FormatUint(user, 10), Group: "+" + strconv.FormatUint(group, 10),
	}
	return src, nil
}

func parseVxHS(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	return networkSource("vxhs", o.name("vdisk-id"), o.inet("vxhs", o.object("server"))), nil
}

// parseNVMe reads the address of a PCI device, DOMAIN:BUS:SLOT.FUNCTION in
// hexadecimal digits.
func parseNVMe(_ string, o *options) (*libvirtxml.DomainDiskSource, error) {
	device, namespace := o.name("device"), o.number("namespace", math.MaxUint32)
	parts := strings.Split(strings.Replace(device, ".", ":", 1), ":")
	var address [4]uint
	ok := namespace > 0 && len(parts) == 4 && strings.LastIndexByte(device, '.') > strings.LastIndexByte(device, ':')
	for i, limit := range [4]uint64{0xffff, 0xff, 0x1f, 7} {
		if !ok {
			break
		}
		n, err := strconv.ParseUint(parts[i], 16, 32)
		ok = err == nil && n <= limit
		address[i] = uint(n)
	}
	if !ok || address == [4]uint{} {
		return nil, fmt.Errorf("%w: its device or namespace", ErrBacking)
	}
	return &libvirtxml.DomainDiskSource{NVME: &libvirtxml.DomainDiskSourceNVME{PCI: &libvirtxml.DomainDiskSourceNVMEPCI{
		Namespace: namespace,
		Address:   &libvirtxml.DomainAddressPCI{Domain: &address[0], Bus: &address[1], Slot: &address[2], Function: &address[3]},
	}}}, nil
}

// server reads a SocketAddress. Older QEMU calls the path of a socket "socket",
// and inet "tcp".
func (o *options) server(protocol string, from *options) libvirtxml.DomainDiskSourceHost {
	if from.values["type"] != "unix" {
		if !from.has("type") {
			from.fail(fmt.Errorf("%w: its server has no type", ErrBacking))
		}
		return o.inet(protocol, from)
	}
	from.text("type")
	key := "path"
	if !from.has(key) {
		key = "socket"
	}
	host, err := unixHost(from.text(key))
	if err != nil {
		from.fail(err)
	}
	o.close(from)
	return host
}

// inet reads an InetSocketAddress, which may have a type.
func (o *options) inet(protocol string, from *options) libvirtxml.DomainDiskSourceHost {
	if from.has("type") {
		if kind := from.text("type"); kind != "inet" && kind != "tcp" {
			from.fail(fmt.Errorf("%w: its server has a type that libvirt does not know", ErrBacking))
		}
	}
	host := from.tcp(protocol)
	o.close(from)
	return host
}

// tcp reads a host and a port, which must be a string: libvirt ignores a
// number.
func (o *options) tcp(protocol string) libvirtxml.DomainDiskSourceHost {
	name, port := o.name("host"), ""
	if o.has("port") {
		port = o.name("port")
	}
	host, err := tcpHost(protocol, name, port)
	if err != nil {
		o.fail(err)
	}
	return host
}

// close finishes an inner object and takes over its error.
func (o *options) close(inner *options) {
	inner.done()
	if inner.err != nil {
		o.fail(inner.err)
	}
}

// optionsOf makes options of an element of a list.
func optionsOf(value any) *options {
	if o, ok := value.(*object); ok {
		return &options{values: o.values}
	}
	return &options{err: fmt.Errorf("%w: a server is not an object", ErrBacking)}
}
