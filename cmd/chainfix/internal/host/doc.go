// Package host knows what there is on a host: its guests, what libvirt keeps
// of each, and its storage pools. It examines the chains of all of them, makes
// them explicit, and takes that back.
//
// A host is an [Inventory], and there are two ways in. [Connect] asks a
// running libvirt, through its own protocol; a [Daemon] can also define
// guests. [FolderAt] reads the files of a libvirt that is not to be asked, or
// is gone, as on a machine that is half upgraded. Both give the same of the
// same host:
//
//	d, err := host.Connect(ctx, "qemu:///system")
//	if err != nil {
//		return err
//	}
//	defer d.Close()
//	for guest, err := range d.Guests(ctx) {
//		if guest == nil {
//			return err // the connection is lost, or ctx has ended
//		}
//		if err != nil {
//			report(guest.Name, err) // this one cannot be read; the others can
//			continue
//		}
//		document, err := xmlfix.Parse(guest.Name, guest.Definition)
//		...
//	}
//
// Guests come one at a time and none is kept, so memory does not grow with
// their number. A program that needs to see all of them before the first, such as to know
// every image that some guest may write to as raw, goes through them twice.
//
// # Scan, apply, roll back
//
// A [Scan] examines every guest of an inventory, as [xmlfix.Examine] does one
// document, with what all of them together state of images, and with predictions:
//
//	scan := &host.Scan{Inventory: d}
//	for report, err := range scan.Reports(ctx) {
//		if err != nil {
//			return err // there is no report then
//		}
//		fmt.Println(report.Guest.Name, report.Verdict())
//	}
//
// An [Apply] gives the guests that a Scan finds fixable their new definitions.
// It returns the folder of its [Run], from which a [Rollback] gives them their
// old ones again:
//
//	apply := &host.Apply{Daemon: d, Scan: scan, Connect: uri, StateDir: dir}
//	run, err := apply.Run(ctx, func(*host.Report) error { return nil })
//	...
//	rollback := &host.Rollback{Daemon: d, Connect: uri}
//	err = rollback.Run(ctx, run)
//
// [Runs] lists the runs of a state folder, and [Rollback.RunNewest] finds the one to take
// back. A run is bound to its [Origin] and to the UUIDs of its guests.
//
// # What is known of a guest
//
// The definition is what the guest will be started with next. Images that it
// writes to, or wrote to, are also named elsewhere: in the XML that it runs
// with now ([Guest.Live]; disks come and go while it runs), and in the metadata
// of its snapshots and checkpoints ([Guest.Metadata]), each of which holds a
// copy of the definition at its time.
//
// A guest with a managed save image does not start from its definition, and a
// block job rewrites the definition when it ends: [Guest.ManagedSave] and
// [Guest.BlockJob] say so. A daemon is asked for the jobs of each disk, because
// the XML shows only some (a copy has a <mirror>, a pull has none).
//
// A running guest without a persistent definition is no guest of an inventory.
//
// # Files
//
// The definition that libvirt 9.0 stores is, byte for byte, a comment, an empty
// line, and the text of "virsh dumpxml --inactive --security-info"; a test
// compares them for guests in every state. A [Folder] keeps the comment, so
// that the lines of an error are the file's. Snapshots and checkpoints name the
// same disks in the files as through the daemon, but are not the same text. The
// XML of a running guest has elements in the file that are libvirt's own
// (<privateData>).
//
// A Folder follows symlinks, reads nothing but regular files, waits for
// nothing, and opens nothing for writing. It does not notice that folders are
// missing, as from a copy of /etc alone: of such a host no snapshots are known.
//
// # The protocol
//
// go-libvirt speaks it. What a peer sends is checked before go-libvirt sees it,
// because go-libvirt believes lengths and counts, and can be made to panic or
// to lock up: only the whole answer to the call that waits may pass. A call
// that was given up, and any other answer, end the connection ([ErrGone]).
// libvirt's protocol has 4 MiB for a definition and 32 MiB for an answer
// (remote_protocol.x, virnetprotocol.x).
//
// # Secrets
//
// Definitions are read with their secrets (the password of a VNC console), so
// that what is defined again loses none. No error of this package holds any of
// their text: from libvirt's messages the line is cut that quotes the XML.
package host
