// Package storage knows storage sources: what they are called, what the header of
// an overlay says of its backing image, and how an image is opened.
//
// A source is libvirt.org/go/libvirtxml's DomainDiskSource, as everywhere in this
// module. Nothing is opened but by an [Opener], and nothing that an image names
// is looked at.
//
// # Opening an image
//
// [FileOpener] opens local files and block devices, and nothing that hangs when
// it is opened; package chain/remote has an Opener for the network. Where a
// source has a slice, [SliceOf] finds it and [Slice.Cut] cuts it out.
//
//	image, err := storage.FileOpener{}.Open(ctx, storage.LocalSource("/vm/disk.qcow2", false))
//	if err != nil {
//		return err
//	}
//	defer image.Close()
//	header, err := probe.Read(image, image.Size(), probe.Qcow2)
//
// # What is below
//
// A header names its backing image by a string, and some record its format.
// [ParseBacking] returns the source that libvirt makes of the string, and is an
// error wherever libvirt or QEMU might take another; [ReadRecord] tells what the
// recorded format is worth, which programs read differently too.
//
// # Names
//
// There is one name for keys, [Name]: it is what names are compared by and what
// an operator states a format for. It may hold a secret and is never shown.
// People see a source as [Describe] puts it, or, where they are to type a name,
// as [ShownName] has it. Of a string out of a header they see what [Printable]
// leaves of it, and in an answer to the question for that very string what
// [Shown] leaves.
//
// # For whoever writes an Opener
//
// [Mapper], [ChangeTimer] and [Resolver] are what an Opener may do besides
// opening. [Extent] and [FileID] tell whether two images share bytes. What is
// known of a network protocol is in [Protocol].
//
// Names are read as libvirt 9.0 reads them, unless a comment names other
// versions.
package storage
