package main

import (
	"cmp"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/finding"
)

// lifeRow is an operation on a guest whose chain is explicit, and its outcome: a row of
// docs/after-the-fix.md.
//
// The guest's image is web.qcow2, over middle.qcow2, over base.qcow2. Commands run in the
// folder that has them, which is called $images; $new is a name for another one. $web is
// the guest's name, $copy one for another guest, $pool one for a pool of storage, and $there
// is another host.
type lifeRow struct {
	operation string // the heading in the documents
	inWords   bool   // the documents tell it in words, and not in a table
	does      string // the commands
	// What the documents do not show: before the chain is made explicit, before what is
	// done, and after it, when the guest does not run any more.
	before, ready, later string
	runs                 bool // the guest runs while that is done

	unrecorded bool   // web.qcow2 does not record the format of middle.qcow2
	guest      string // the guest that is looked at: web, or copy
	there      bool   // on the other host

	becomes string // what happens to the explicit chain, in words
	first   string // what the guest sees at first; "" is what it should
	truth   string // what it should see in the end; "" is what it should at first
	sees    string // what it sees; "" is what it should

	once string // when it sees that, in words; "" is at its next start

	code finding.Code // of chainfix's finding; "" for none
	kept bool         // the guard of the hook keeps the guest from starting
	warn bool         // it is a warning, as the XML states a whole chain that cannot be compared
	open bool         // the chain is not explicit any more, and nothing is wrong with it
	word bool         // chainfix needs a statement about a format
	mend string       // commands that help, where nothing that chainfix does helps without them
}

// keeps says that nothing needs a fix.
func (r lifeRow) keeps() bool { return r.code == "" && !r.open }

// refresh says that the chain is rebuilt from the headers.
func (r lifeRow) refresh() bool {
	switch r.code {
	case finding.ChainStale, finding.ChainConflict, finding.FormatConflict:
		return r.mend == ""
	}
	return r.code == finding.ChainMoved
}

// verdict is what a scan says of the guest.
func (r lifeRow) verdict() chain.Verdict {
	switch {
	case r.code != "" && !r.warn:
		return chain.Refused
	case r.open:
		return chain.Fixable
	}
	return chain.Explicit
}

// lifeTruth is what most guests see at first, in the words of [blocks].
const lifeTruth = "b0 00 22 33"

func (r lifeRow) sawAtFirst() string   { return cmp.Or(r.first, lifeTruth) }
func (r lifeRow) seenInTheEnd() string { return cmp.Or(r.truth, lifeTruth) }

// seen is what the guest sees after what was done, without a repair.
func (r lifeRow) seen() string { return cmp.Or(r.sees, r.seenInTheEnd()) }

const doesNotStart = "does not start"

// Words for what happens to a chain.
const (
	stays    = "stays, and is right"
	follows  = "libvirt rewrites it"
	isGone   = "is gone; libvirt detects one again"
	leadsOn  = "still leads to the old images"
	ofBefore = "is the old one"

	baseChanged = "once the old base.qcow2 changes"
)

// Commands that several rows have.
const (
	// The old images are still in use elsewhere.
	baseChanges = `qemu-io -f qcow2 -c 'write -q -P 0xee 0 64k' base.qcow2`
	baseGrows   = `qemu-io -f qcow2 -c 'write -q -P 0xee 256k 64k' base.qcow2`
	// $copy has a disk of its own over the same images.
	neighbour = `cp web.qcow2 copy.qcow2
		virsh dumpxml --inactive $web | sed "s/$web/$copy/; s/web.qcow2/copy.qcow2/; /<uuid>/d" >copy.xml
		virsh define copy.xml
		`
	// A backup by libvirt.
	backupXML = `echo "<domainbackup><disks><disk name='vda' type='file'><target file='$images/backup.qcow2'/><driver type='qcow2'/></disk></disks></domainbackup>" >backup.xml`
	// Where a migration copies the disk to.
	copiedThere = `mkdir $new; qemu-img create -q -f qcow2 $new/web.qcow2 1M
		`
	// The disk is a volume of a pool, and the images below it are in no pool.
	isVolume = `mkdir below && mv base.qcow2 middle.qcow2 below
		qemu-img rebase -u -f qcow2 -F qcow2 -b below/middle.qcow2 web.qcow2
		virsh pool-define-as $pool dir --target $images && virsh pool-start $pool
		echo "<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/>
			<source pool='$pool' volume='web.qcow2'/><target dev='vda' bus='virtio'/></disk>" >vda.xml
		virsh update-device $web vda.xml --config
		virsh pool-dumpxml $pool | sed "s,$images,$new," >pool.xml`
	poolMoves = `virsh pool-destroy $pool; virsh pool-define pool.xml; virsh pool-start $pool`
)

// lifeRows are the rows, in the order of the documents.
func lifeRows() []lifeRow {
	const web, another = "web", "copy"
	const conflict, stale = finding.ChainConflict, finding.ChainStale
	return []lifeRow{
		{operation: "clone", does: `virt-clone --original $web --name $copy --file copy.qcow2`, guest: another,
			becomes: "moves along, though the copy has no backing image any more", sees: "b0 b1 22 33", code: stale, kept: true},
		{operation: "clone", does: `virt-clone --original $web --name $copy --auto-clone`, guest: another, unrecorded: true,
			becomes: "moves along, though the copy has no backing image any more", sees: "b0 b1 22 33", code: stale, kept: true},
		{operation: "clone", does: `cp web.qcow2 copy.qcow2; virt-clone --original $web --name $copy --file copy.qcow2 --preserve-data`, guest: another,
			becomes: "moves along, and is right"},
		{operation: "clone", does: `virt-clone --original $web --name $copy --file copy.qcow2 # after chainfix strip`, guest: another,
			ready:   `virsh dumpxml --inactive --security-info $web | chainfix strip | virsh define /dev/stdin`,
			becomes: isGone, open: true},
		{operation: "clone", does: `virsh define copy.xml`, guest: another,
			ready: `cp web.qcow2 golden.qcow2; qemu-img create -q -f qcow2 -b golden.qcow2 -F qcow2 copy.qcow2
				virsh dumpxml --inactive $web | sed "s/$web/$copy/; s/web.qcow2/copy.qcow2/; /<uuid>/d" >copy.xml`,
			becomes: "lacks golden.qcow2, if copy.xml is the definition of web with copy.qcow2 in the place of web.qcow2, and copy.qcow2 an overlay of golden.qcow2, a copy of web.qcow2", sees: "b0 b1 22 00", code: conflict, kept: true},

		{operation: "edit", does: `virt-xml $web --edit --memory 20`, guest: web, becomes: stays},
		{operation: "edit", does: `virsh domrename $web $copy`, guest: another, becomes: stays},
		{operation: "edit", does: `qemu-img create -f qcow2 fresh.qcow2 1M; virt-xml $web --edit target=vda --disk path=$images/fresh.qcow2`, guest: web,
			becomes: leadsOn, truth: "00 00 00 00", sees: "b0 b1 22 00", code: stale, kept: true},
		{operation: "edit", does: `virt-xml $web --edit target=vda --disk path=$images/other.qcow2`, guest: web,
			ready:   `qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 other.qcow2`,
			becomes: leadsOn, truth: "b0 b1 00 00", sees: "b0 b1 22 00", code: conflict, kept: true},
		{operation: "edit", does: `virt-xml $web --edit target=vda --disk path=$images/other.qcow2`, guest: web, inWords: true,
			ready:   `qemu-img create -q -f qcow2 -u -b left.qcow2 -F qcow2 other.qcow2 1M`,
			becomes: leadsOn, truth: "00 00 00 00", sees: "b0 b1 22 00", code: finding.ChainMoved, warn: true,
			mend: `qemu-img create -q -f qcow2 left.qcow2 1M`},
		{operation: "edit", does: `virt-xml $web --edit target=vda --disk path=$images/web.img,driver.type=raw`, guest: web,
			ready:   `qemu-img convert -f qcow2 -O raw web.qcow2 web.img`,
			becomes: leadsOn + ", though raw can have no backing image", sees: doesNotStart, code: stale},
		{operation: "edit", does: `virsh update-device $web vda.xml --config`, guest: web,
			ready: `echo "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='$images/middle.qcow2'/>
				<target dev='vda' bus='virtio'/></disk>" >vda.xml`,
			becomes: "is that of vda.xml, or is gone", truth: "b0 b1 22 00", open: true},
		{operation: "edit", does: `virsh detach-disk $web vda --config; virsh attach-disk $web $images/web.qcow2 vda --subdriver qcow2 --config`, guest: web,
			becomes: isGone, open: true},
		{operation: "edit", does: `virsh define web.xml`, guest: web, before: `virsh dumpxml --inactive $web >web.xml`,
			becomes: "is that of web.xml, or is gone", open: true},

		{operation: "move", does: `mv web.qcow2 renamed.qcow2; virt-xml $web --edit target=vda --disk path=$images/renamed.qcow2`, guest: web, becomes: stays},
		{operation: "move", does: `mkdir $new; mv *.qcow2 $new; virt-xml $web --edit target=vda --disk path=$new/web.qcow2`, guest: web,
			becomes: leadsOn, sees: doesNotStart, code: conflict},
		{operation: "move", does: `mkdir $new; mv *.qcow2 $new; ln -s $new/*.qcow2 .; virt-xml $web --edit target=vda --disk path=$new/web.qcow2`, guest: web,
			becomes: "stays, and is right while the links are there"},
		{operation: "move", does: `mkdir $new; mv base.qcow2 $new; qemu-img rebase -u -f qcow2 -F qcow2 -b $new/base.qcow2 middle.qcow2`, guest: web,
			becomes: leadsOn, sees: doesNotStart, code: conflict},
		{operation: "move", does: `ln -sfn $new $images`, guest: web,
			before: `mkdir $new old; cp *.qcow2 $new; mv *.qcow2 old; mv old ../old; rmdir $images; ln -s old $images`,
			ready:  `cd /`, later: `qemu-io -f qcow2 -c 'write -q -P 0xee 0 64k' ../old/base.qcow2`,
			becomes: "follows, as the images are named by way of the link"},

		{operation: "copy", does: `mkdir $new; cp *.qcow2 $new; virt-xml $web --edit target=vda --disk path=$new/web.qcow2`, later: baseChanges, guest: web,
			becomes: leadsOn, sees: "ee 00 22 33", once: baseChanged, code: conflict, kept: true},
		{operation: "copy", does: `mkdir $new; cp *.qcow2 $new; virt-xml $web --edit target=vda --disk path=$new/web.qcow2`, later: baseChanges, guest: web, unrecorded: true,
			becomes: leadsOn + "; the format of one is not recorded", sees: "ee 00 22 33", once: baseChanged, code: conflict, kept: true, word: true},
		{operation: "copy", does: `virsh blockcopy $web vda --dest $images/new.qcow2 --transient-job --wait --pivot`, runs: true, guest: web, becomes: follows},
		{operation: "copy", does: `virsh blockcopy $web vda --dest $images/new.qcow2 --shallow --transient-job --wait --pivot`, runs: true, guest: web, becomes: follows},

		{operation: "snapshot", does: `virsh snapshot-create-as $web s`, guest: web, becomes: "stays, in the definition and in the snapshot"},
		{operation: "snapshot", does: `virsh snapshot-create-as $web s --disk-only`, guest: web, becomes: follows},
		{operation: "snapshot", does: `virsh snapshot-create-as $web s --disk-only # while it runs`, runs: true, guest: web, unrecorded: true, becomes: follows},
		{operation: "snapshot", does: `virsh snapshot-create-as $web s --disk-only --reuse-external --diskspec vda,file=$images/new.qcow2`, guest: web,
			ready:   `qemu-img create -q -f qcow2 -b web.qcow2 -F qcow2 new.qcow2`,
			becomes: isGone, open: true},

		{operation: "revert", does: `virsh snapshot-revert $web s`, ready: `virsh snapshot-create-as $web s`, guest: web, becomes: ofBefore + ", and is right"},
		{operation: "revert", does: `virsh snapshot-revert $web s # of before the fix`, before: `virsh snapshot-create-as $web s`, guest: web, unrecorded: true,
			becomes: isGone, sees: doesNotStart, code: finding.ProbedBacking, word: true},
		{operation: "revert", does: `virsh snapshot-revert $web s # of before base.qcow2 was copied`, guest: web,
			ready: `virsh snapshot-create-as $web s; mkdir $new; cp base.qcow2 $new; qemu-img rebase -u -f qcow2 -F qcow2 -b $new/base.qcow2 middle.qcow2
				chainfix host apply --state-dir state --refresh $web`,
			later:   baseChanges,
			becomes: ofBefore + ", and leads to the old image", sees: "ee 00 22 33", once: baseChanged, code: conflict, kept: true},
		{operation: "revert", does: `virsh snapshot-revert $web s # of before web.qcow2 was flattened`, guest: web,
			ready:   `virsh snapshot-create-as $web s; qemu-img rebase -f qcow2 -b '' web.qcow2; chainfix host apply --state-dir state --refresh $web`,
			becomes: ofBefore + ", and the snapshot needs it; but the header does not name it any more", code: stale,
			mend: `qemu-img rebase -u -f qcow2 -F qcow2 -b middle.qcow2 web.qcow2`},

		{operation: "commit", does: `virsh blockcommit $web vda --active --pivot --wait`, runs: true, guest: web, becomes: follows},
		{operation: "commit", does: `virsh blockcommit $web vda --top $images/middle.qcow2 --wait`, runs: true, guest: web, becomes: follows},
		{operation: "commit", does: `qemu-img commit -f qcow2 web.qcow2`, guest: web, becomes: stays},
		{operation: "commit", does: `qemu-img commit -f qcow2 middle.qcow2; qemu-img rebase -u -f qcow2 -F qcow2 -b base.qcow2 web.qcow2; rm middle.qcow2`, guest: web,
			becomes: leadsOn, sees: doesNotStart, code: conflict},

		{operation: "pull", does: `virsh blockpull $web vda --wait`, runs: true, guest: web, becomes: follows},
		{operation: "pull", does: `virsh blockpull $web vda --base $images/base.qcow2 --wait`, runs: true, guest: web, becomes: follows},

		{operation: "rebase", does: `qemu-img rebase -f qcow2 -b '' web.qcow2`, later: baseGrows, guest: web, becomes: leadsOn, sees: "b0 00 22 33 ee", once: baseChanged, code: stale, kept: true},
		{operation: "rebase", does: `qemu-img rebase -f qcow2 -F qcow2 -b other.qcow2 web.qcow2`, guest: web,
			ready: `qemu-img create -q -f qcow2 other.qcow2 1M; qemu-io -f qcow2 -c 'write -q -P 0xb0 0 64k' other.qcow2`, later: baseChanges,
			becomes: leadsOn, sees: "ee 00 22 33", once: baseChanged, code: conflict, kept: true},
		{operation: "rebase", does: `qemu-img rebase -u -f qcow2 -F qcow2 -b base.qcow2 middle.qcow2 # where the record was raw`, guest: web,
			before:  `qemu-img rebase -u -f qcow2 -F raw -b base.qcow2 middle.qcow2`,
			becomes: "still says raw", first: ".. 00 22 33 .. b0 b1", sees: ".. 00 22 33 .. b0 b1", code: finding.FormatConflict, kept: true},
		{operation: "rebase", does: `qemu-img rebase -u -f qcow2 -F qcow2 -b middle.qcow2 web.qcow2 # where nothing was recorded`, guest: web, unrecorded: true, becomes: stays},

		{operation: "convert", does: `qemu-img convert -f qcow2 -O qcow2 web.qcow2 new.qcow2; mv new.qcow2 web.qcow2`, guest: web,
			becomes: leadsOn, sees: "b0 b1 22 33", code: stale, kept: true},
		{operation: "convert", does: `qemu-img convert -f qcow2 -O qcow2 -B middle.qcow2 -F qcow2 web.qcow2 new.qcow2; mv new.qcow2 web.qcow2`, guest: web, becomes: stays},
		{operation: "convert", does: `qemu-img convert -f qcow2 -O raw base.qcow2 new.img; mv new.img base.qcow2; qemu-img rebase -u -f qcow2 -F raw -b base.qcow2 middle.qcow2`, guest: web,
			becomes: "still says qcow2", sees: doesNotStart, code: finding.FormatConflict},

		{operation: "resize", does: `qemu-img resize -f qcow2 web.qcow2 2M`, guest: web, becomes: stays},
		{operation: "resize", does: `virsh blockresize $web vda 2M`, runs: true, guest: web, becomes: stays},

		{operation: "backup", does: `virsh backup-begin $web backup.xml`, runs: true, ready: backupXML, guest: web, becomes: stays},
		{operation: "backup", does: `cp $backup/web.qcow2 . # as qemu-img convert wrote it: the whole disk`, guest: web,
			ready:   `mkdir $backup; qemu-img convert -f qcow2 -O qcow2 web.qcow2 $backup/web.qcow2`,
			becomes: leadsOn, sees: "b0 b1 22 33", code: stale, kept: true},
		{operation: "backup", does: `cp $backup/*.qcow2 . # as they were copied`, guest: web,
			ready: `mkdir $backup; cp *.qcow2 $backup; ` + baseChanges, becomes: stays},

		{operation: "migrate", does: `virsh migrate --persistent --unsafe $web $there`, runs: true, guest: web, there: true, becomes: "moves along, and is right"},
		{operation: "migrate", does: `virsh migrate --offline --persistent $web $there`, guest: web, there: true, becomes: "moves along, and is right"},
		{operation: "migrate", does: `virsh migrate --persistent --copy-storage-all --xml there.xml --persistent-xml there.xml $web $there`, guest: web, there: true,
			runs: true, ready: copiedThere + `virsh dumpxml --migratable $web | sed "s,$images/web.qcow2,$new/web.qcow2," >there.xml`, later: `rm *.qcow2`, once: "once the old images are removed",
			becomes: "moves along, if there.xml has it, though the copy has no backing image any more", sees: doesNotStart, code: stale, kept: true},
		{operation: "migrate", does: `virsh migrate --persistent --copy-storage-all --xml there.xml --persistent-xml there.xml $web $there # after chainfix strip`, guest: web, there: true,
			runs: true, ready: copiedThere + `virsh dumpxml --migratable $web | chainfix strip | sed "s,$images/web.qcow2,$new/web.qcow2," >there.xml`, later: baseChanges,
			becomes: isGone, open: true},

		{operation: "delete", does: `virsh undefine $web --remove-all-storage`, guest: another,
			ready:   neighbour + `virsh pool-create-as $pool dir --target $images`,
			becomes: "goes with the guest; its base images stay"},
		{operation: "delete", does: `virsh domblklist --details $web | awk '$2 == "disk" { print $4 }' | xargs rm`, guest: another,
			ready:   neighbour,
			becomes: "goes with the guest; its base images stay"},
		{operation: "delete", does: `xmllint --xpath /domain/devices/disk/source/@file web.xml | cut -d '"' -f 2 | xargs rm`, guest: another,
			ready:   neighbour + `virsh dumpxml $web >web.xml; virsh undefine $web`,
			becomes: "goes with the guest; its base images stay"},
		{operation: "delete", does: `xmllint --xpath //source/@file web.xml | cut -d '"' -f 2 | xargs rm # every source: never do this`, guest: another,
			ready:   neighbour + `virsh dumpxml $web >web.xml; virsh undefine $web; mkdir $backup; cp *.qcow2 $backup`,
			becomes: "names the base images, which other guests have, too", sees: doesNotStart, code: finding.ImageMissing, warn: true,
			mend: `cp $backup/base.qcow2 $backup/middle.qcow2 .`},

		{operation: "pool move", does: `mv $images $new; ` + poolMoves, guest: web, before: isVolume,
			becomes: leadsOn, sees: doesNotStart, code: conflict},
		{operation: "pool move", does: `cp -a $images $new; ` + poolMoves, guest: web, before: isVolume,
			later:   `qemu-io -f qcow2 -c 'write -q -P 0xee 0 64k' below/base.qcow2`,
			becomes: leadsOn, sees: "ee 00 22 33", once: baseChanged, code: conflict, kept: true},
	}
}
