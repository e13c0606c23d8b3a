package peers

import (
	"fmt"
	"strings"
)

// SmallGuest returns the definition of a guest that starts fast: with one
// disk, whose <disk> element begins in line 6, followed by the other devices.
// The arguments are inserted unchanged and have to be XML.
func SmallGuest(name, disk string, devices ...string) string {
	return fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    %s
    <controller type='usb' model='none'/>
    <memballoon model='none'/>%s
  </devices>
</domain>
`, name, disk, strings.Join(devices, ""))
}
