// Package host handles a whole host: its guests, their snapshots, checkpoints
// and saved states, and its storage pools. It examines all chains, makes them
// explicit, and rolls that back.
//
// A host is an [Inventory], of two kinds. [Connect] connects to a running
// libvirt, by its own protocol; a [Daemon] can also define guests. [FolderAt]
// reads the files of a libvirt that does not run, for example during an
// upgrade. Both return the same for the same host:
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
// Guests are read one at a time and not kept, so memory does not grow with
// their number. A program that needs all of them first, for example to know
// every image that a guest may write to as raw, reads them twice.
//
// # Scan, apply, roll back
//
// A [Scan] examines every guest of an inventory, as [xmlfix.Examine] does one
// document, with the evidence of all guests about images, and with
// predictions:
//
//	scan := &host.Scan{Inventory: d}
//	for report, err := range scan.Reports(ctx) {
//		if err != nil {
//			return err // no report in this case
//		}
//		fmt.Println(report.Guest.Name, report.Verdict())
//	}
//
// An [Apply] defines the guests that a Scan finds fixable anew. It returns the
// folder of its [Run], from which a [Rollback] restores the old definitions:
//
//	apply := &host.Apply{Daemon: d, Scan: scan, Connect: uri, StateDir: dir}
//	run, err := apply.Run(ctx, func(*host.Report) error { return nil })
//	...
//	rollback := &host.Rollback{Daemon: d, Connect: uri}
//	err = rollback.Run(ctx, run)
//
// [Runs] lists the runs of a state folder, and [Rollback.RunNewest] rolls back
// the newest. A run is identified with a libvirt by its [Origin] and the UUIDs
// of its guests.
//
// # The texts of a guest
//
// The guest will start next with its definition. Other texts also name images
// that it writes or wrote to: its live XML ([Guest.Live]; disks come and go
// while it runs), and the metadata of its snapshots and checkpoints
// ([Guest.Metadata]), each with a copy of the definition from its time.
//
// A guest with a managed save image does not start from its definition, and a
// block job rewrites the definition when it ends: [Guest.ManagedSave] and
// [Guest.BlockJob] say so. The Daemon asks libvirt for the jobs of each disk,
// because the XML shows only some (a copy has a <mirror>, a pull does not).
//
// [Inventory.Guests] leaves out a running guest without a persistent
// definition.
//
// # Files
//
// libvirt 9.0 stores a definition as a comment, an empty line, and, byte for
// byte, the text of "virsh dumpxml --inactive --security-info"; a test
// compares them for guests in every state. A [Folder] keeps the comment, so
// line numbers of errors match the file. Snapshots and checkpoints have the
// same disks in the files as from the daemon, but not the same text. The file
// of a running guest has additional internal elements (<privateData>).
//
// A Folder follows symlinks, reads only regular files, never blocks on a FIFO,
// and opens nothing for writing. It does not notice missing folders, for
// example in a copy of /etc alone: such a host then appears to have no
// snapshots.
//
// # The protocol
//
// go-libvirt implements the protocol. The package checks every packet before
// go-libvirt reads it, because go-libvirt trusts lengths and counts and can be
// made to panic or deadlock: only a complete reply to the pending call may
// pass. A cancelled call and any other packet end the connection ([ErrGone]).
// libvirt's protocol limits a definition to 4 MiB and a reply to 32 MiB
// (remote_protocol.x, virnetprotocol.x).
//
// # Secrets
//
// Definitions are read with their secrets (the password of a VNC console), so
// none is lost when they are defined again. Errors of this package contain
// none of their text: the line that quotes the XML is cut from libvirt's
// messages.
package host
