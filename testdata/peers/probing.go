package peers

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// formats are libvirt 9.0's numbers for the formats that it can probe
// (virStorageFileFormat), by QEMU's names.
var formats = map[int]string{
	1: "raw", 6: "iso", 7: "vpc", 8: "vdi", 11: "parallels", 12: "cow", 13: "qcow", 14: "qcow2", 15: "qed", 16: "vmdk",
}

var probed = regexp.MustCompile(`virStorageFileProbeFormatFromBuf:\d+ : format=(\d+)`)

// absent is the path of the guest's second disk. libvirt checks it after the
// first one, so QEMU is never started.
const absent = "/absent/disk"

// Probes returns the format that libvirt probes for the backing image of a
// qcow2 overlay, which must not record it: QEMU's name of the format, and
// whether libvirt would accept the image. The error is about an unexpected
// result.
func (l *Libvirt) Probes(overlay string) (format string, accepted bool, err error) {
	l.t.Helper()
	l.Define(fmt.Sprintf(`<domain type='qemu'>
  <name>probes</name>
  <uuid>6f7c6bb0-5b1c-4f50-9d2c-3b6b6a0a51c4</uuid>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='%s'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='%s'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
  </devices>
</domain>`, absent, overlay))
	before := len(l.DebugLog())
	out, startErr := l.Try("start", "probes")
	m := probed.FindStringSubmatch(l.DebugLog()[before:])
	if startErr == nil || m == nil {
		return "", false, fmt.Errorf("libvirt did not probe: %v, %s", startErr, out)
	}
	number, err := strconv.Atoi(m[1])
	if err != nil || formats[number] == "" {
		return "", false, fmt.Errorf("libvirt says format=%s", m[1])
	}
	return formats[number], strings.Contains(out, absent), nil
}
