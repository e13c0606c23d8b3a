package libvirt

// Releases are the pairs of which a missing QEMU is taken.
func Releases() []release { return releases }
