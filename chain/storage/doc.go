// Package storage handles storage sources: their names, the backing references
// in the headers of overlays, and opening images.
//
// A source is a DomainDiskSource of libvirt.org/go/libvirtxml, as everywhere
// in this module. Only an [Opener] opens images; files that an image names are
// not touched.
//
// # Opening an image
//
// [FileOpener] opens local files and block devices, and nothing that could
// hang; package chain/remote has an Opener for the network. [SliceOf] returns
// the slice of a source, and [Slice.Cut] applies it.
//
//	image, err := storage.FileOpener{}.Open(ctx, storage.LocalSource("/vm/disk.qcow2", false))
//	if err != nil {
//		return err
//	}
//	defer image.Close()
//	header, err := probe.Read(image, image.Size(), probe.Qcow2)
//
// # Backing images
//
// A header names its backing image by a string, and may record its format.
// [ParseBacking] returns the source that libvirt makes from the string, or an
// error if libvirt and QEMU might open different sources; [ReadRecord]
// interprets the recorded format, which programs also read differently.
//
// # Names
//
// [Name] is the key of an image, for comparison and for the operator's
// statements. It may contain a secret and is never shown. Messages describe a
// source with [Describe], or with [ShownName] if somebody has to type the
// name. They show a string from a header with [Printable], or with [Shown] if
// the operator asked for exactly that string.
//
// # Writing an Opener
//
// An Opener may also implement [Mapper], [ChangeTimer] and [Resolver].
// [Extent] and [FileID] tell whether two images share bytes. [Protocol]
// describes a network protocol.
//
// Names are read as libvirt 9.0 reads them, unless a comment names other
// versions.
package storage
