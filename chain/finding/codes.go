package finding

// Code names a kind of finding, in kebab-case: "image-missing". Codes are
// stable: they never change and are never used for anything else. [Explain]
// explains each.
//
// To add a code, add a constant and a row of the table after it;
// docs/findings.md and "chainfix explain" are generated from the tables.
type Code string

// Findings about the document. All but the last come from package xmlfix.
const (
	XMLSyntax          Code = "xml-syntax"
	XMLEncoding        Code = "xml-encoding"
	XMLAmbiguous       Code = "xml-ambiguous"
	NotADomain         Code = "not-a-domain"
	InputLimit         Code = "input-too-large"
	DiskUnreadable     Code = "disk-unreadable"
	DocumentUnreadable Code = "document-unreadable"
)

var aboutDocuments = []Explanation{
	{XMLSyntax, "the document is not well-formed XML",
		"libvirt's parser rejects such a document too, so its disks were not examined.",
		"Look at the place that the message names, or take a fresh copy with virsh dumpxml --inactive --security-info GUEST."},
	{XMLEncoding, "the document is not in UTF-8",
		"Edits are placed at byte offsets in UTF-8 text. libvirt itself always writes UTF-8.",
		"Re-encode the document as UTF-8 (iconv), and remove or correct its XML declaration."},
	{XMLAmbiguous, "libvirt and other programs would read the document differently",
		"With a DOCTYPE, a repeated element, or a namespace prefix inside a disk, libvirt may read one thing and a checker another. chainfix refuses such a document rather than choose an interpretation.",
		"Remove what the message names. virsh define followed by virsh dumpxml --inactive shows how libvirt reads the document."},
	{NotADomain, "the document is not a domain XML",
		"Only <domain> documents, and the lone <disk> of attach-device and update-device, can be fixed. Snapshots, checkpoints and status files contain copies of a guest's definition; fixing the definition does not change them.",
		"Give chainfix the output of virsh dumpxml --inactive --security-info GUEST. chainfix host apply --snapshots GUEST fixes the snapshots and checkpoints that libvirt keeps, and --saved fixes a managed save image."},
	{InputLimit, "the input is over a limit",
		"The limits of a domain XML are 64 MiB, 256 levels of elements (as in libvirt's own parser) and 16,384 disks. All disks together may have 262,144 elements and 524,288 attributes, no single text may exceed 64 KiB, and the chains with their findings may take 32 MiB of memory.",
		"Check that you passed the right file."},
	{DiskUnreadable, "libvirt would not accept the disk, or its XML cannot be expressed",
		"The disk lacks something that libvirt requires (a backing store without a format), has a type or format that libvirt does not know, or contains something that would be lost if its chain were rewritten.",
		"Correct the disk as the message says; virsh define shows whether libvirt accepts it."},
	{DocumentUnreadable, "a document cannot be read",
		"A file or a guest's definition could not be read: it does not exist, permission was denied, or libvirt did not return it. Its disks were not examined.",
		"The message has the error of the system or of libvirt. If only root may read the file, run chainfix as root."},
}

// Findings about a guest of a host.
const (
	ManagedSave       Code = "managed-save"
	BlockJob          Code = "block-job"
	TransientLeftover Code = "transient-leftover"
	SnapshotDiffers   Code = "snapshot-differs"
	BytesChange       Code = "bytes-change"
)

var aboutGuests = []Explanation{
	{ManagedSave, "the guest has a managed save image",
		"The next start restores the saved state, with the XML that is stored in the save image; the definition is used only after that. chainfix leaves the guest unchanged.",
		"Start the guest and shut it down, then fix it. chainfix host apply --saved GUEST fixes the stored XML, if the guest keeps seeing the same bytes."},
	{BlockJob, "a block job runs on one of the guest's disks",
		"When the job ends, libvirt rewrites the chains in the definition; if they are not what it expects, it drops them. chainfix leaves the guest unchanged until then.",
		"Wait for the job or end it: virsh blockjob GUEST DISK --info, then --pivot or --abort."},
	{TransientLeftover, "the overlay of a transient disk exists although the guest does not run",
		"libvirt makes the overlay of a <transient/> disk when the guest starts, and removes it when the guest ends. After a power cut, or if QEMU ended while libvirt was not running, the overlay stays, and libvirt refuses to start the guest.",
		"Make sure that the guest does not run (virsh domstate GUEST) and remove the file: its content was meant to be discarded."},
	{SnapshotDiffers, "the XML that libvirt keeps of a snapshot needs the fix, too",
		"A snapshot contains a copy of the guest's definition from when it was made, and a revert restores that definition. In this copy a chain is not explicit to its end, or it differs from the headers of the images. A managed save image contains a copy too, with which the guest resumes, and a checkpoint one that no guest starts from. (After an external snapshot the copy has the shorter chain of that time, which is right.)",
		"chainfix host apply --snapshots GUEST fixes snapshots and checkpoints, with --refresh also those that the headers contradict; --saved fixes a managed save image. Or delete snapshots that nobody will revert to."},
	{BytesChange, "an explicit chain changes what the guest sees on a disk, or may",
		"Today libvirt opens the disk wrongly: the guest sees the bytes of the container file, or zeros instead of its backing image. The explicit chain is right, but the guest has worked with the wrong bytes so far and may have written to them. Or chainfix cannot know which bytes the guest sees today. host apply changes such a guest only if you name it, whatever other options you give.",
		"Look at the disk from within the guest. If it never worked, or its owner agrees, run chainfix host apply GUEST. Otherwise leave it unchanged."},
}

// Findings about a disk in the domain XML.
const (
	MirrorRunning       Code = "mirror"
	LiveDump            Code = "live-dump"
	RanOtherwise        Code = "ran-otherwise"
	SDBus               Code = "sd-bus"
	DriverTypeMissing   Code = "driver-type-missing"
	SourceNotLocal      Code = "source-not-local"
	SourceRelative      Code = "source-relative"
	SourceType          Code = "source-type"
	SourceInexpressible Code = "source-inexpressible"
	SourceSlice         Code = "source-slice"
)

var aboutDisks = []Explanation{
	{MirrorRunning, "a block job is running on the disk",
		"A <mirror> element is present only while a block copy or an active commit runs. The chain changes when the job ends, and a definition made now would then be wrong.",
		"Wait for the job or end it: virsh blockjob GUEST DISK --info, then --pivot or --abort."},
	{LiveDump, "the XML comes from a running guest",
		"libvirt adds what it detected to the XML of a running guest, including formats that it probed, and these look the same as formats that somebody stated. Using them would turn a guess into a statement.",
		"Use the stored definition: virsh dumpxml --inactive --security-info GUEST | chainfix | virsh define /dev/stdin"},
	{RanOtherwise, "a migrated or restored guest may have another chain open than the headers record",
		"A migrated or restored guest must keep the chain that it ran with, or its disk content changes while it runs. If the XML does not state the chain, libvirt detected it, and some versions detect it wrongly. So the hook leaves the XML unchanged.",
		"Make the definition explicit (chainfix, or chainfix host apply GUEST), shut the guest down and start it again."},
	{SDBus, "libvirt ignores explicit chains on the sd bus",
		"libvirt still passes SD cards to QEMU with -drive. It discards their explicit chain and detects it again at every start, so only the formats that the image headers record help, not the XML.",
		"Record the format in each overlay: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY. Or move the disk to another bus."},
	{DriverTypeMissing, "the disk has no <driver type>",
		"libvirt opens such a disk as raw, whatever it contains, and writes raw into the stored definition. chainfix treats it as raw too and leaves it unchanged: nothing that the guest writes changes that. If the image has the signature of a format, this is a warning: either the guest keeps an image on its disk, or it sees the bytes of the container file.",
		"Nothing to do if the disk is raw. Otherwise state the format: --trust PATH=qcow2, or write the <driver type> yourself."},
	{SourceNotLocal, "an image was not read, and its chain is not explicit",
		"chainfix reads local files and block devices, images on the network only with --network, volumes only if their pool is known, and no others. libvirt cannot read the headers of most of these either and leaves the rest of the chain to QEMU, which guesses formats.",
		"Use --network for images on the network, --pools for volumes. Or state the whole chain in the XML: <backingStore> with type, <format> and " +
			"<source> for each image, and <backingStore/> at the end."},
	{SourceRelative, "the XML names an image by a relative path",
		"libvirt passes the path on unchanged, and QEMU resolves it from its own working directory, not from yours.",
		"Name the image by its absolute path."},
	{SourceType, "the type of a source does not match the file",
		"QEMU opens a source of type file only if it is a regular file, and one of type block only if it is a device.",
		"Change the type in the XML: type='file' with <source file=...>, type='block' with <source dev=...>."},
	{SourceSlice, "a slice lies outside its file",
		"The XML or a header says that the image is a part of a file or device, but the file is too short for that. QEMU refuses to open it.",
		"Correct the offset and size of the <slice>, or restore the whole file."},
	{SourceInexpressible, "the chain has a source that chainfix cannot write",
		"libvirt allows a <backingStore> of type nvme, but the XML library that chainfix uses (libvirtxml) cannot express one. chainfix never changes an existing one: if the chain in the XML is complete, no format is guessed and the disk stays unchanged.",
		"If it is refused, state the rest of the chain in the XML by hand, with <backingStore/> at its end."},
}

// Findings about one image.
const (
	ImageMissing     Code = "image-missing"
	ImageUnreadable  Code = "image-unreadable"
	ImageUnanswered  Code = "image-unanswered"
	NotAnImage       Code = "not-an-image"
	ImageBroken      Code = "image-broken"
	XMLNotImage      Code = "xml-not-image"
	FormatMismatch   Code = "format-mismatch"
	RawWithSignature Code = "raw-with-signature"
	Encrypted        Code = "encrypted"
	DataFile         Code = "data-file"
	DataFileConflict Code = "data-file-conflict"
	ForeignExtents   Code = "foreign-extents"
	Differencing     Code = "differencing"
	ImageSwapped     Code = "image-swapped"
)

var aboutImages = []Explanation{
	{ImageMissing, "an image does not exist",
		"The chain refers to a file that does not exist, so libvirt cannot start the guest. If the chain is already explicit, this is a warning: the images may be on another host.",
		"Restore the image, or correct the name: in the <source> of the disk for its own image; for a backing image in the XML's <backingStore>, in the overlay (qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY), or in both."},
	{ImageUnreadable, "an image cannot be read",
		"The operating system refused to open or read it.",
		"The hint depends on the system's error. If permission is denied, run chainfix as a user who may read the image, usually root. A stale handle, an input or output error or a server that does not answer is a problem of the mount or the device, for any user."},
	{ImageUnanswered, "the storage of an image does not answer",
		"A request for the image was not answered within --timeout (10 seconds; 2 in the hook). The server, the device or the network may be down or slow. The image could not be examined, so its disk is refused, even if the chain is explicit: libvirt would wait for the same storage.",
		"Check whether the storage answers: timeout 10 stat IMAGE. Repair it, or unmount it (umount -f, or umount -l), and run chainfix again. If it is only slow, raise the limit: --timeout 60s."},
	{NotAnImage, "a name in the chain is neither a regular file nor a block device",
		"Directories, FIFOs, sockets and character devices are not images; opening them can hang or have side effects.",
		"Find out how the name came into the chain. Do not use an overlay from an unknown source."},
	{ImageBroken, "the header of an image cannot be used",
		"It is truncated, violates the format's specification, or requires a feature that QEMU does not know. libvirt would treat many such images as raw or as images without a backing image; to chainfix a broken image is an error.",
		"qemu-img check shows details. Restore the image, or convert what can still be read."},
	{XMLNotImage, "a file that was given as an image is XML",
		"QEMU would open it as a raw image, like any file without a signature. Only chainfix probe reports this.",
		"To check the disks of a domain XML, run chainfix check FILE. probe takes image files."},
	{FormatMismatch, "an image does not have its stated format",
		"The XML, the overlay or --trust states a format, and the header does not match that format. QEMU would not open the image.",
		"chainfix probe IMAGE shows what the header claims. If the image was not replaced by another, correct the format where it is stated: in the XML, in the overlay, in both, or on the command line."},
	{RawWithSignature, "a raw image looks like something else",
		"It has the signature of a format or of a compressed file, but is opened as raw: either raw is stated, which is accepted because a guest may keep an image on its disk, or QEMU and libvirt both ignore the signature, as they do with the footer of a fixed VHD. But some tools record raw, and libvirt writes it, although nobody stated it; then the guest sees the container file instead of its content. For a backing image an explicit chain makes that permanent: libvirt then ignores what the overlay records. So host apply changes a guest whose overlay records raw for such an image only if you name the guest.",
		"If raw is wrong, correct it: the <driver type> of the disk, or the format that the overlay records: " +
			"qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY. If the XML already has the chain, rebuild it from the headers with --refresh, or correct its <format>. Decompress a compressed image."},
	{Encrypted, "an image is encrypted, and the XML has no secret for it",
		"Without an <encryption> element with a secret, QEMU cannot open the image. QEMU no longer runs guests on images with the old AES encryption.",
		"Write <encryption format='luks'> with its <secret> into the <source> of the image. Convert old AES images."},
	{DataFile, "an image keeps its data in another file",
		"A qcow2 header may name an external data file. The XML of libvirt before 10.10 cannot name it, so QEMU opens whatever the header names; in an image that a guest once wrote, that may be any file of the host. Newer XML has <dataStore> for it, which chainfix writes if --target-libvirt says that libvirt is new enough and the name is a plain absolute path.",
		"If libvirt is 10.10 or newer, pass --target-libvirt 10.10 to fix or check; chainfix host asks libvirt. Otherwise convert the image into a single file: qemu-img convert -O qcow2. If you do not know where the image comes from, do not open it."},
	{DataFileConflict, "the XML and the header disagree about a data file",
		"The <dataStore> in the XML names another file than the header of the image, or the header names none at all.",
		decide},
	{ForeignExtents, "an image keeps its data in other files, which no domain XML can name",
		"A VMDK descriptor names the files that hold the data. QEMU opens them because the descriptor names them; libvirt does not know of them and does not label them. In an image that a guest once wrote they may be any files of the host.",
		"Convert the image into a single file, and name that file in the overlay or the XML: qemu-img convert -f vmdk -O qcow2. Stating or recording the format does not help. If you do not know where the image comes from, do not open it."},
	{Differencing, "a differencing image, whose parent QEMU does not read",
		"A differencing VHD, VHDX or VDI image contains only what differs from its parent. QEMU does not support parents in these formats: it refuses the image, or shows the guest zeros instead of the parent's data.",
		"Merge it into its parent with the program that made it, or convert the complete disk with that program."},
	{ImageSwapped, "an image was replaced while chainfix examined it",
		"The name now refers to another file than the one that was read, so the results no longer apply.",
		"Find out what moves images on this host, and run chainfix again when it has finished."},
}

// Findings about a format that nobody recorded.
const (
	FormatUnrecorded    Code = "format-unrecorded"
	FormatDisputed      Code = "format-disputed"
	ProbedFormat        Code = "probed-format"
	TrustedHeader       Code = "believed-header"
	ProbedNotRaw        Code = "probed-not-raw"
	ProbedBacking       Code = "probed-backing"
	AmbiguousSignatures Code = "ambiguous-signatures"
	NameContradicts     Code = "name-contradicts"
	RecordContradicts   Code = "record-contradicts"
	SizeContradicts     Code = "size-contradicts"
	TrustConflict       Code = "trust-conflict"
	RawDiskElsewhere    Code = "raw-disk-elsewhere"
	StatedElsewhere     Code = "stated-elsewhere"
	StatedConflict      Code = "stated-conflict"
	BaseWritten         Code = "base-written"
	SharedWritable      Code = "shared-writable"
)

var aboutFormats = []Explanation{
	{FormatUnrecorded, "nobody recorded the format, and the rule accepts none from the image",
		"Under --rule declared the operator must state a format that neither the XML nor an overlay states.",
		state},
	{FormatDisputed, "an overlay records a format name that QEMU and libvirt read differently",
		"The backing format field contains the name of a protocol, an unknown or upper-case name, or one that only QEMU or only libvirt knows: libvirt before 9.10 probes the image then, later ones open it as raw, QEMU may do something else. (QEMU's own names vhdx and parallels are accepted if the image has the header of that format.) Or the field is empty, and the name of the backing image is a json: description with a driver outside of its \"file\", which means raw to QEMU, while libvirt probes. chainfix treats the format as unrecorded.",
		state},
	{ProbedFormat, "a format was taken from the image's own header",
		"Nobody recorded it; the rule allows the header to decide, and nothing contradicted it. docs/rules.md says what that proves.",
		"Nothing to do. To record it: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY."},
	{TrustedHeader, "a format was taken from the image's own header, because the policy trusts it",
		"Nobody recorded it, but the policy file says that no guest ever used an image in this folder as a raw disk. Nothing contradicted the header, and it names no other file, or only a backing image that exists and is in such a folder too.",
		"Nothing to do while the policy file is right. To record it: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY."},
	{ProbedNotRaw, "the header claims a format, and the rule accepts only raw",
		"Under --rule strict the operator must state any format but raw, because a guest can write such a header.",
		state},
	{ProbedBacking, "an image of unrecorded format names a backing image",
		"A guest that once used the image as a raw disk could have written that header, with the name of any file of the host. No rule accepts it, and chainfix did not touch the named file. A format that only a <backingStore> of the XML states counts as unrecorded here, because libvirt writes guesses there: it decides how the image is opened, but does not allow chainfix to follow its backing image.",
		state},
	{AmbiguousSignatures, "an image of unrecorded format has two signatures",
		"QEMU and libvirt may each choose another one. The image itself cannot show which is right.",
		state},
	{NameContradicts, "the file name contradicts the header",
		"A guest can rewrite every byte of a raw disk, but not its file name. A qcow2 header in a file whose name ends in .raw is the classic forgery. An image without a signature is raw, whatever its name. If the name ends in a format's extension, this is a warning, because the header may have been lost, and host apply changes the guest only if you name it.",
		state},
	{RecordContradicts, "what the overlay records contradicts the header",
		"QEMU and the versions of libvirt read the recorded format, or the driver in a json: name, differently. So it does not decide, but it does not match the header either.",
		state},
	{SizeContradicts, "the length of the image contradicts its header",
		"The file is exactly as long as its overlay's virtual disk. That is usual for raw disks and a rare coincidence for other formats. It may be a raw disk into which its guest wrote a header.",
		state},
	{RawDiskElsewhere, "an image is or was a raw disk that a guest may write",
		"Its header claims a format, but a definition, the XML of a running guest, a snapshot, a checkpoint or a saved state uses the image as a raw disk. That guest may have written any header into it, so the header is not trusted. This is only a warning if the format is stated elsewhere, or if the image is raw only as a backing image of another disk, whose guest writes to it only by a commit; host apply then changes the guest only if you name it.",
		state},
	{StatedElsewhere, "another disk states the format of an image",
		"Nobody recorded it in the overlay, but another disk uses the image directly and states its format in <driver type>, in a current definition or in the XML of a running guest. So no guess was needed.",
		"Nothing to do. To record it: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY."},
	{StatedConflict, "disks state different formats for one image",
		"With one of them the guest reads garbage.",
		"Find out which is right and correct the other definition, or state the format with --trust PATH=FORMAT."},
	{BaseWritten, "another disk writes to a backing image of this disk",
		"An overlay contains only what differs from its backing image. When the backing image changes, the overlay's guest reads a mixture of both: file systems break without any error.",
		"Do not start the guest that writes. Give one of the two its own copy: qemu-img convert."},
	{SharedWritable, "two disks write to one image, and the XML does not share it",
		"QEMU's image lock lets only one of the guests run at a time. On network file systems without locks both can run and destroy each other's data.",
		"Nothing to do if only one of the guests ever runs. Mark a shared disk with a cluster file system as <shareable/>."},
	{TrustConflict, "the operator's statement contradicts what the XML, the overlay or another statement says",
		"A format from --trust or the policy file is used where nothing is recorded; it does not override a recorded one. Two patterns that match one image, or two names of one file, must not state different formats.",
		"If the statement is wrong, remove it. If the XML is wrong, correct the <driver type> of the disk or the <format> of the backing image: virsh edit GUEST. If the overlay is wrong, correct the recorded format: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY. A statement with the image's own path takes precedence over a pattern."},
}

// Findings about the chain.
const (
	BackingInvalid      Code = "backing-invalid"
	BackingCredentials  Code = "backing-credentials"
	BackingUnmapped     Code = "backing-unmapped"
	BackingDisputed     Code = "backing-disputed"
	BackingRelative     Code = "backing-relative"
	BackingDuplicate    Code = "backing-duplicate"
	BackingNoPool       Code = "backing-no-pool"
	NameUnrepresentable Code = "name-unrepresentable"
	BackingDirectory    Code = "backing-directory"
	ChainLoop           Code = "chain-loop"
	ChainTooDeep        Code = "chain-too-deep"
	ChainStale          Code = "chain-stale"
	ChainCut            Code = "chain-cut"
	ChainConflict       Code = "chain-conflict"
	FormatConflict      Code = "format-conflict"
	ChainMoved          Code = "chain-moved"
	ChainUnverified     Code = "chain-unverified"
	ChainKept           Code = "chain-kept"
	BackingTypeless     Code = "backing-typeless"
	TargetTooOld        Code = "target-too-old"
	ChainElsewhere      Code = "chain-elsewhere"
)

var aboutChains = []Explanation{
	{BackingInvalid, "a header names a backing image in a form that libvirt cannot use",
		"The name is a URI, a json: description or another form with a protocol, and libvirt would refuse to start the guest: libvirt does not know the protocol or the JSON driver, or an address, a number or the whole name is malformed. A file name with a colon in it looks like a protocol, too.",
		"Correct the name: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY, with ./ before a file name with a colon in it."},
	{BackingCredentials, "a header contains credentials",
		"The backing file name contains a user name, a password or the name of a secret. libvirt drops some of these, and for others leaves the chain to QEMU, which then guesses formats. Everybody who can read the image can read them.",
		"State the whole chain in the XML, with <auth> and a libvirt secret in the <source>, and rewrite the name in the header without them: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY. Change the password."},
	{BackingUnmapped, "a header has an option of its backing image that the XML cannot express",
		"libvirt would silently drop it: the tls-creds of an nbd server (the guest's data would cross the network unencrypted), an iSCSI initiator, or a URI's fragment.",
		"State the whole chain in the XML, which can express some of these in another way, or rewrite the name without it: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingDisputed, "libvirt and QEMU read the name of a backing image differently",
		"Each would open another file: libvirt, for example, resolves the path of ssh://HOST/PATH from the user's home folder. chainfix cannot know which one was meant.",
		"State the whole chain in the XML, or rewrite the name in a form that both read alike: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingRelative, "a header names a backing image by a relative path that cannot be resolved",
		"Only plain file names are resolved relative to the overlay's directory. QEMU resolves a path inside a json: description, and the path of a socket or a folder, from its own working directory. An overlay without a directory (an nbd export, for example) cannot have relative names.",
		"Use an absolute name: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingDuplicate, "a header gives an option of its backing image twice",
		"With a repeated key, or a dotted key that collides with a nested one, two programs may read different values.",
		"Correct the name: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingNoPool, "a header names an rbd image without its pool, or a gluster file without its volume",
		"libvirt accepts such a name and then cannot start the guest.",
		"Use the full name: qemu-img rebase -u -f FORMAT -F FORMAT -b rbd:POOL/IMAGE OVERLAY."},
	{NameUnrepresentable, "a name in a header cannot be written into a domain XML",
		"It contains control characters, a NUL, a line end or bytes that are not UTF-8, which libvirt would drop or change; or it is empty, or has a slash where the XML splits the name into two attributes.",
		"Rename the image and correct the name in the header: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingDirectory, "a header names a folder as its backing image",
		"QEMU builds such an image (vvfat) from the files in the folder, again at every start. So the backing image changes under its overlay.",
		"Put the files into an image, and make the overlay name that image."},
	{ChainLoop, "an image is its own backing image",
		"The same file appears twice in the chain, perhaps through a link. QEMU and libvirt would run until a limit stops them.",
		"If the XML names the image twice, remove the second <backingStore>, or rebuild the chain from the headers: --refresh. If a header does, give the overlay its real backing image: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{ChainTooDeep, "the chain has too many layers",
		"libvirt refuses more than 200.",
		"Shorten the chain: virsh blockcommit for a running guest, qemu-img commit for one that is off."},
	{ChainStale, "the XML continues the chain where the header ends it",
		"The image no longer has a backing image (it was flattened, converted or restored), but the XML still names one. Every unallocated cluster would be read from the old backing image: silent corruption. This is common in cloned guests. But internal snapshots from before the image was flattened still need the old backing image: after a revert to one of them the XML is right, and the header must name it again.",
		decide},
	{ChainCut, "the XML ends the chain where the header continues it",
		"The image has a backing image, but the XML says that it has none. The guest would read zeros instead of its data.",
		decide},
	{ChainConflict, "the XML and the header name different backing images",
		"libvirt uses the XML and does not read the header; one of the two is wrong.",
		decide},
	{FormatConflict, "the XML and the overlay state different formats for a backing image",
		"libvirt uses the XML and does not read the header; with the wrong format the guest reads garbage.",
		decide},
	{ChainMoved, "the image that the header names does not exist; the one in the XML does",
		"The images were moved, and only the XML was updated. libvirt uses the XML, so chainfix keeps it.",
		"Correct the header for other tools: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{ChainUnverified, "an explicit chain could not be compared with the images",
		"The XML states the whole chain, so libvirt guesses nothing; chainfix could not check whether the chain is right.",
		"Run chainfix check on the host that has the images."},
	{ChainKept, "the XML disagrees with a header and was kept",
		"--keep-xml was given, or the policy file keeps the chain of this disk.",
		"Nothing to do if you are sure. Correct the header when you can: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingTypeless, "a <backingStore> has content but no type",
		"libvirt treats it as the end of the chain, whatever it contains, although its schema accepts it.",
		"If the chain continues, add type='file' or type='block'; otherwise remove the content."},
	{TargetTooOld, "the target libvirt does not understand the XML that this chain needs",
		"The libvirt of --target-libvirt (without it 6.1, the oldest that chainfix writes for) lacks something that this chain needs. As a warning: the chain has more than 25 layers, and libvirt 10.8 to 11.10, which is or may be the target, does not start a guest with such a chain, whether the XML states it or not.",
		"If a newer libvirt will read the result, say so: --target-libvirt X.Y. Otherwise upgrade that libvirt first, or, if the chain is too long, shorten it."},
	{ChainElsewhere, "an image outside the disks has a backing image, which is ignored",
		"A definition names images in other places too: firmware (<loader>), its variables (<nvram>), a <kernel>, an <initrd>, the <source> of a TPM. The XML cannot state a chain there. For firmware and its variables libvirt since 9.2 uses the stated format and tells QEMU that the image has no backing image; earlier ones open the file as raw, whatever is stated. All others are read byte by byte. So the guest reads zeros, or the bytes of the container file. chainfix does not change these elements and does not touch the files that such an image names.",
		"Use an image there that has the whole content, in the stated format. If nobody but you can have written the image, merge its chain into one image with qemu-img convert."},
}
