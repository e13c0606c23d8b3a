package libvirt

// Releases are the pairs from which a missing QEMU is taken.
func Releases() []release { return releases }
