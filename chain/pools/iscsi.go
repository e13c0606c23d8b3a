package pools

import (
	"errors"
	"regexp"
	"strconv"
	"sync"

	"libvirt.org/go/libvirtxml"
)

// unit is the name of an iSCSI volume: bus, target and number of the unit.
var unit = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^unit:[0-9]{1,10}:[0-9]{1,10}:([0-9]{1,10})$`)
})

const iscsiPort = 3260

// asUnit is for pools to which the host connects by iSCSI. By default QEMU
// gets the host's device.
func asUnit(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	if volume.Mode == "direct" {
		return overISCSI(p, volume, to)
	}
	if p.target != "/dev/disk/by-path" {
		return nameless(p, volume, to)
	}
	portal, err := p.portal(volume)
	if err != nil {
		return err
	}
	// libvirt uses the first link in the folder that refers to the device. This
	// is the link that udev makes from the portal, the target and the unit, as in
	// libvirt's documentation of the mode (formatdomain).
	setBlock(to, p.target+"/ip-"+portal.host+":"+portal.port+"-iscsi-"+portal.target+"-lun-"+portal.unit, volume)
	return nil
}

// overISCSI is for volumes to which QEMU itself connects by iSCSI
// (virDomainDiskTranslateISCSIDirect).
func overISCSI(p *pool, volume *libvirtxml.DomainDiskSourceVolume, to *libvirtxml.DomainDiskSource) error {
	portal, err := p.portal(volume)
	if err != nil {
		return err
	}
	to.Network = &libvirtxml.DomainDiskSourceNetwork{
		Protocol: "iscsi",
		Name:     portal.target + "/" + portal.unit,
		Hosts:    []libvirtxml.DomainDiskSourceHost{{Name: portal.host, Port: portal.port}},
	}
	if i := p.source.Initiator; i != nil && i.IQN.Name != "" {
		to.Network.Initiator = &libvirtxml.DomainDiskSourceNetworkInitiator{
			IQN: &libvirtxml.DomainDiskSourceNetworkIQN{Name: i.IQN.Name},
		}
	}
	if a := p.source.Auth; a != nil {
		if a.Username == "" || a.Secret == nil || (a.Secret.UUID == "") == (a.Secret.Usage == "") {
			return errors.New("the pool's <auth> has no user name or no secret")
		}
		to.Network.Auth = &libvirtxml.DomainDiskAuth{
			Username: a.Username,
			Secret:   &libvirtxml.DomainDiskSecret{Type: "iscsi", Usage: a.Secret.Usage, UUID: a.Secret.UUID},
		}
	}
	return nil
}

// portal is where an iSCSI unit is.
type portal struct{ host, port, target, unit string }

// portal is virDomainDiskAddISCSIPoolSourceHost.
func (p *pool) portal(volume *libvirtxml.DomainDiskSourceVolume) (portal, error) {
	name := unit().FindStringSubmatch(volume.Volume)
	switch {
	case name == nil:
		return portal{}, errors.New(`the name of an iSCSI volume must be like "unit:0:0:1"`)
	case len(p.source.Host) != 1 || !plainName(p.source.Host[0].Name):
		return portal{}, errors.New("the pool must name exactly one host")
	case len(p.source.Device) == 0 || !plainName(p.source.Device[0].Path):
		return portal{}, errors.New("the pool does not name its iSCSI target")
	}
	found := portal{host: p.source.Host[0].Name, port: p.source.Host[0].Port, target: p.source.Device[0].Path, unit: name[1]}
	if found.port == "" {
		found.port = "0"
	}
	port, err := strconv.ParseUint(found.port, 10, 16)
	if err != nil {
		return portal{}, errors.New("the port of the pool's host is invalid")
	}
	if port == 0 {
		port = iscsiPort
	}
	found.port = strconv.FormatUint(port, 10)
	return found, nil
}
