package finding

// Code names a kind of finding, in kebab-case: "image-missing". Codes are stable: they
// never change and are never used for anything else. [Explain] explains each.
//
// A new code is a constant and a row of the table below it; docs/findings.md and
// "chainfix explain" are made of the tables.
type Code string

// Findings about the document, made by package xmlfix but for the last.
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
		"libvirt's parser would reject the document too, so nothing can be said about its disks.",
		"Look at the place that the message names; take a fresh copy with virsh dumpxml --inactive."},
	{XMLEncoding, "the document is not in UTF-8",
		"Edits are placed at byte offsets in UTF-8 text. libvirt itself always writes UTF-8.",
		"Re-encode the document as UTF-8 (iconv), and drop or mend its XML declaration."},
	{XMLAmbiguous, "libvirt and other programs would read the document differently",
		"A DOCTYPE, a repeated element, or a name space prefix inside a disk lets one document say two things: libvirt reads " +
			"one, a checker the other. Such a document is refused rather than interpreted.",
		"Remove what the message names. virsh define followed by virsh dumpxml --inactive shows what libvirt makes of it."},
	{NotADomain, "the document is not a domain XML",
		"Only <domain> documents, and the lone <disk> of attach-device and update-device, are handled. Snapshots, checkpoints and status " +
			"files hold copies of a guest's definition: to mend the definition does not mend them.",
		"Give chainfix the output of virsh dumpxml --inactive --security-info GUEST. chainfix host apply --snapshots GUEST mends snapshots and checkpoints where libvirt " +
			"keeps them, and --saved a managed save image."},
	{InputLimit, "the input is over a limit",
		"A domain XML has at most 64 MiB here, and 256 levels of elements, as in libvirt's own parser. Together its disks, which are " +
			"16,384 at most, have no more than 262,144 elements and 524,288 attributes, none has a text of more than 64 KiB, and their chains, " +
			"with what is said of them, take no more than 32 MiB.",
		"Check that the input is what you meant to give."},
	{DiskUnreadable, "libvirt would not accept the disk, or its XML cannot be expressed",
		"The disk lacks something that libvirt demands (a backing store without a format), has a type or format that libvirt " +
			"does not know, or says something that would be lost if its chain were written anew.",
		"Mend the disk as the message says; virsh define tells whether libvirt accepts it."},
	{DocumentUnreadable, "a document cannot be read",
		"A file, or a guest's definition, could not be read at all: it is not there, may not be read, or libvirt did not give it. So nothing is known of its disks.",
		"The message says what the system, or libvirt, has to say. A file that root alone may read is read by root."},
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
		"Its next start restores the saved state, with the XML that is stored in the image; the definition counts only after that. It is left alone.",
		"Start the guest and shut it down, then fix it. chainfix host apply --saved GUEST mends the stored XML, where the guest goes on with the same bytes."},
	{BlockJob, "a block job runs on one of the guest's disks",
		"When the job ends, libvirt rewrites the chains in the definition; where they are not what it expects, it drops them. The guest is left alone meanwhile.",
		"Wait for the job or end it: virsh blockjob GUEST DISK --info, then --pivot or --abort."},
	{TransientLeftover, "the overlay of a transient disk is there although the guest does not run",
		"libvirt makes the overlay of a <transient/> disk when the guest starts, and removes it when the guest ends. After a power cut, " +
			"or the end of a QEMU that no libvirt saw, it stays, and libvirt refuses to start the guest.",
		"Make sure that the guest does not run (virsh domstate GUEST) and remove the file: what is in it was to be thrown away."},
	{SnapshotDiffers, "what libvirt keeps of a snapshot needs the fix, too",
		"A snapshot holds a copy of the guest's definition at its time, and a revert makes that the definition again. In this copy a chain is not explicit to its end, or is not that of " +
			"the images that it names. A managed save image holds one with which the guest goes on, and a checkpoint one that nothing starts from. (After an external snapshot the " +
			"copy has the shorter chain of that time, which is right.)",
		"chainfix host apply --snapshots GUEST mends snapshots and checkpoints, with --refresh those that the headers contradict; --saved mends a managed save image. Or delete what nobody will " +
			"revert to any more."},
	{BytesChange, "an explicit chain changes what the guest sees on a disk, or may",
		"Today libvirt opens the disk wrongly: the guest sees a container's bytes, or zeros in the place of a base. Right as the explicit chain is, the guest has worked with the " +
			"other bytes, and may have written to them. Or it cannot be told what it sees. host apply changes such a guest only if it is named, whatever else is asked for.",
		"Look at the disk from within the guest. If it never worked, or its owner agrees: chainfix host apply GUEST. Else leave it as it is."},
}

// Findings about what the domain XML says of a disk.
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
		"A <mirror> element is there only while a block copy or an active commit runs. Its end changes the chain, and a " +
			"definition made now would be wrong by then.",
		"Wait for the job or end it: virsh blockjob GUEST DISK --info, then --pivot or --abort."},
	{LiveDump, "the XML is that of a running guest",
		"libvirt has written into it what it detected by itself, formats that it probed included, and nothing tells these from " +
			"what somebody stated. Taking it would turn a guess into a statement.",
		"Use the stored definition: virsh dumpxml --inactive --security-info GUEST | chainfix | virsh define /dev/stdin"},
	{RanOtherwise, "a guest that goes on may have another chain open than the headers tell",
		"A guest that arrives by migration, or is restored, must keep the chain that it had, or its disk changes under it. Where the XML does not state the " +
			"chain, libvirt has detected it, and not every version detects what the images really are. So the hook leaves the XML as it is.",
		"Make the definition explicit (chainfix, or chainfix host apply GUEST), and let the guest start from it: shut it down first."},
	{SDBus, "libvirt ignores explicit chains on the sd bus",
		"SD cards still go to QEMU by -drive. libvirt discards their explicit chain and detects it again at every start, so " +
			"the XML cannot help; only what the image headers record does.",
		"Record the format in each overlay: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY. Or move the disk to another bus."},
	{DriverTypeMissing, "the disk has no <driver type>",
		"libvirt takes such a disk as raw, whatever is in it, and writes raw into the stored definition. So the disk is raw here too, and is left alone: " +
			"nothing that its guest writes changes that. If its image bears the signature of a format, this is a warning: the guest keeps an image on its disk, " +
			"or it sees the bytes of a container.",
		"Nothing needs doing if the disk is raw. Else state what the image is: --trust PATH=qcow2, or write the <driver type> yourself."},
	{SourceNotLocal, "an image is not read, and its chain is not explicit",
		"Local files and block devices are read, images on the network only with --network, volumes only where their pool is known, and " +
			"others not at all. libvirt cannot read the headers of most of them either, and leaves the rest of the chain to QEMU, which guesses.",
		"--network for images on the network, --pools for volumes. Or state the whole chain in the XML: <backingStore> with type, <format> and " +
			"<source> for each image, and <backingStore/> at the end."},
	{SourceRelative, "the XML names an image by a relative path",
		"libvirt passes it on as it is, and QEMU opens it from its own working directory, which is not yours.",
		"Name the image by its absolute path."},
	{SourceType, "the type of a source does not fit what is there",
		"QEMU opens a source of type file only if it is a regular file, and one of type block only if it is a device.",
		"Change the type in the XML: type='file' with <source file=...>, type='block' with <source dev=...>."},
	{SourceSlice, "a slice lies outside its file",
		"The XML or a header says that the image is a part of a file or device, and that part is not there. QEMU refuses to open it.",
		"Mend the offset and size of the <slice>, or bring the whole file back."},
	{SourceInexpressible, "the chain has a source that cannot be written here",
		"libvirt allows a <backingStore> of type nvme, but the XML library that chainfix shares with other programs cannot express one. What " +
			"the XML has of that type is never changed: if the chain goes on to its end, nothing is guessed, and the disk stays as it is.",
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
		"The chain refers to a file that does not exist, so libvirt cannot start the guest. In a chain that is already " +
			"explicit this is a warning: the images may be on another host.",
		"Bring the image back, or name the right one: that of the disk itself in its <source>, a backing image where it is named, which is in the XML's <backingStore>, or in " +
			"the overlay (qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY), or in both."},
	{ImageUnreadable, "an image cannot be read",
		"The system refused to open or read it.",
		"The hint follows what the system said. Where it forbids the file, run chainfix as a user who may read the image, usually root. A stale handle, an input or " +
			"output error or a server that does not answer is the mount's or the device's, whoever reads."},
	{ImageUnanswered, "the storage of an image does not answer",
		"A request for the image had no answer within the limit of --timeout (10 seconds; 2 in the hook). Its server, its device or the way there may be dead or slow. " +
			"Nothing is known of the image, so that its disk is refused, even where the chain is explicit: libvirt would wait for the same storage.",
		"See whether the storage answers: timeout 10 stat IMAGE. Bring it back, or unmount it (umount -f, or umount -l), and run chainfix again. " +
			"Where it is only slow, give it more time: --timeout 60s."},
	{NotAnImage, "a name in the chain is neither a regular file nor a block device",
		"Directories, FIFOs, sockets and character devices are no images; opening them can hang or have effects.",
		"Find out how the name came into the chain. An overlay from a stranger should be thrown away."},
	{ImageBroken, "the header of an image cannot be used",
		"It is cut off, contradicts its own specification, or asks for a feature that QEMU does not know. libvirt would take " +
			"many such images for raw or for images without a base; a broken image is an error here.",
		"qemu-img check says more. Restore the image, or convert what is left of it."},
	{XMLNotImage, "a file that was given as an image is XML",
		"QEMU would take it for a raw image, as any file without a signature. Only chainfix probe reports this.",
		"chainfix check FILE says what becomes of the disks of a domain XML; their images are what probe takes."},
	{FormatMismatch, "an image is not of the format that it is stated to be",
		"The XML, the overlay or --trust says one format, and the header does not begin as that format must. QEMU would not open it.",
		"chainfix probe IMAGE shows what the header claims. Mend the statement where it was made, if the image was not swapped: in the XML, in the overlay, in both, or on the command line."},
	{RawWithSignature, "a raw image looks like something else",
		"It bears a format's signature or that of a packed file, and is raw all the same: somebody states so, which is believed, because a " +
			"guest may keep an image on its disk; or QEMU and libvirt both look past the mark, as they do with the footer of a fixed VHD. But " +
			"tools record raw, and libvirt writes it, where nobody said anything, and then the guest sees the container instead of its content. Below the disk's " +
			"own image an explicit chain freezes that: once it is there, what the overlay records has no effect any more. So host apply takes a guest whose overlay " +
			"records raw for such an image only by name.",
		"If raw is wrong, say what is right: the <driver type> of the disk, or the format that the overlay records: " +
			"qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY. If the XML has the chain already, rebuild it from the records with --refresh, or correct " +
			"its <format>. Unpack a packed image."},
	{Encrypted, "an image is encrypted, and the XML has no secret for it",
		"Without an <encryption> element with a secret, QEMU cannot open the image. AES encryption of the old kind does not run at all.",
		"Write <encryption format='luks'> with its <secret> into the <source> of the image. Convert old AES images."},
	{DataFile, "an image keeps its data in another file",
		"A qcow2 header may name an external data file. libvirt before 10.10 cannot be told of it, so QEMU opens whatever the header " +
			"says; in an image that a guest once wrote, that may be any file of the host. Newer ones are told by a <dataStore>, which is " +
			"written if --target-libvirt says that libvirt is new enough and the name is a plain absolute path.",
		"If libvirt is 10.10 or newer, say so: --target-libvirt 10.10. Else bring the data into one file: qemu-img convert -O qcow2. If you " +
			"do not know where the image comes from, do not open it."},
	{DataFileConflict, "the XML and the header disagree about a data file",
		"The <dataStore> in the XML names another file than the header of the image, or the header names none at all.",
		decide},
	{ForeignExtents, "an image keeps its data in other files, which no domain XML can name",
		"A VMDK descriptor names the files that hold the data. QEMU opens them on the descriptor's word alone, and libvirt neither sees " +
			"nor labels them; in an image that a guest once wrote they may be any files of the host.",
		"Bring the data into one file, and let the overlay or the XML name that: qemu-img convert -f vmdk -O qcow2. To state or record the format does not help. If you do not know where the image comes from, do not open it."},
	{Differencing, "an image is a differencing one, which QEMU cannot complete",
		"A differencing VHD, VHDX or VDI image holds only what differs from its parent. QEMU knows of no parents in these formats: it refuses " +
			"the image, or shows the guest zeros where the parent's data should be.",
		"Merge it into its parent with the program that made it, or convert the whole there."},
	{ImageSwapped, "an image was replaced while it was looked at",
		"The name leads to another file now than the one that was read, so nothing that was found out about it holds.",
		"Find out what moves images about on this host, and run chainfix again when it is done."},
}

// Findings about a format that nobody recorded.
const (
	FormatUnrecorded    Code = "format-unrecorded"
	FormatDisputed      Code = "format-disputed"
	ProbedFormat        Code = "probed-format"
	BelievedHeader      Code = "believed-header"
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
	{FormatUnrecorded, "nobody recorded the format, and the rule takes none from the image",
		"Under --rule declared a format that neither the XML nor an overlay states must come from the operator.",
		state},
	{FormatDisputed, "an overlay records a format name that programs read differently",
		"The field holds the name of a protocol, an unknown or upper-case name, or one that only QEMU or only libvirt knows: libvirt " +
			"before 9.10 probes there, a newer one takes raw, QEMU may do a third thing. (QEMU's own names vhdx and parallels are a statement where the image has the header " +
			"of that format.) Or it is empty, and the name of the backing image is a json: " +
			"description with a driver outside of its \"file\", which means raw to QEMU, while libvirt probes. It counts as unrecorded.",
		state},
	{ProbedFormat, "a format was taken from the image's own header",
		"Nobody recorded it; the rule allowed the header's word, and nothing contradicted it. docs/rules.md says what that proves.",
		"Nothing needs doing. To have it recorded: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY."},
	{BelievedHeader, "a format was taken from the image's own header, because the policy believes it",
		"Nobody recorded it, but the image is in a folder of which the policy file says that no guest ever had an image of it as a raw disk. " +
			"Nothing contradicted the header, and it names no other file, or a backing image that is there and in such a folder too.",
		"Nothing needs doing while what the policy file says is true. To have it recorded: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY."},
	{ProbedNotRaw, "the header claims a format, and the rule believes only raw",
		"Under --rule strict a claim to be anything but raw must come from the operator, because a guest can write such a header.",
		state},
	{ProbedBacking, "an image of unrecorded format names a backing image",
		"A guest that once had the image as a raw disk could have written that header, and the name in it could be any file of the " +
			"host. Neither rule believes it, and the file named was not looked at. A format that only a <backingStore> of the XML states counts as unrecorded " +
			"here: libvirt and chainfix write guesses there, so it says what is opened, but not what may be followed.",
		state},
	{AmbiguousSignatures, "an image of unrecorded format bears two signatures",
		"QEMU and libvirt would disagree about it, or each pick one. Nothing in the image can decide.",
		state},
	{NameContradicts, "the file name speaks against what the header claims",
		"A guest can rewrite every byte of a raw disk, but not its file name. A qcow2 header in a file called .raw is the classic forgery. An image without " +
			"any format's signature is raw whatever it is called; if its name ends in a format's extension, this is a warning, because its header may have been " +
			"lost, and host apply takes the guest only by name.",
		state},
	{RecordContradicts, "what the overlay records speaks against what the header claims",
		"The recorded format, or the driver in a json: name, is read differently by QEMU and the versions of libvirt, so it does not decide; but it does " +
			"not support the header either.",
		state},
	{SizeContradicts, "the length of the image speaks against what its header claims",
		"The file is exactly as long as its overlay's virtual disk. Raw disks are; images in another format only by rare chance. " +
			"It looks like a raw disk whose guest has written a header into it.",
		state},
	{RawDiskElsewhere, "an image is or was a raw disk that a guest may write",
		"Its header claims a format, but a definition, the XML of a running guest, a snapshot, a checkpoint or a saved state has the image as a raw disk. " +
			"That guest can have written any header into it, so the header is not believed. As a warning: somebody states the format all the same, or the image is " +
			"stated or recorded to be raw only below another disk, whose guest writes to it by a commit alone; host apply then takes the guest only if it is named.",
		state},
	{StatedElsewhere, "another disk states the format of an image",
		"Nobody recorded it in the overlay, but a disk whose own image it is says in its <driver type> what it is, in a definition of now or in the XML " +
			"that a guest runs with, so nothing had to be guessed.",
		"Nothing needs doing. To have it recorded: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY."},
	{StatedConflict, "disks state different formats for one image",
		"One of them shows its guest garbage, or will.",
		"Find out which is right and mend the other definition; then, or with --trust PATH=FORMAT, the format is settled."},
	{BaseWritten, "an image is below one disk, and another disk writes to it",
		"An overlay holds only what differs from its backing image. When that changes, what the overlay's guest sees is a mixture of both: file systems break " +
			"without any error.",
		"Do not start the guest that writes. Give one of the two a copy of its own: qemu-img convert."},
	{SharedWritable, "two disks write to one image, and the XML does not share it",
		"QEMU's lock lets only one of the guests run at a time. On network file systems without locks both may run, and destroy each other's data.",
		"Nothing needs doing if only one of the guests ever runs. A shared disk with a cluster file system should say <shareable/>."},
	{TrustConflict, "the operator's statement contradicts what the XML, the overlay or another statement says",
		"A statement, by --trust or in the policy file, fills silence; it does not override what somebody recorded. Two patterns that match one image, or " +
			"two names of one file, must not be stated to be different formats.",
		"If the statement is wrong, drop it. If the XML is wrong, correct the <driver type> of the disk or the <format> of the backing image: virsh edit GUEST. If the overlay is wrong, " +
			"write the record anew: qemu-img rebase -u -f OVERLAY-FORMAT -F FORMAT -b NAME OVERLAY. Of two statements the one with the image's own path comes first."},
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
		"The name is a URI, a json: description or another form with a protocol, and libvirt would refuse to start the guest: the protocol " +
			"or the JSON driver is none of its own, or an address, a number or the whole is malformed. A file whose own name has a colon in it reads like that, too.",
		"Write the name anew: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY, with ./ in front of a file name that has a colon in it."},
	{BackingCredentials, "a header holds credentials",
		"The backing string has a user name, a password or the name of a secret in it. libvirt drops some of these, and for others leaves the chain to " +
			"QEMU, which then guesses formats. Everybody who may read the image can read them.",
		"State the whole chain in the XML, with <auth> and a libvirt secret in the <source>, and write the name without them: " +
			"qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY. Change the password."},
	{BackingUnmapped, "a header says something of its backing image that the XML cannot",
		"libvirt would silently drop it: an nbd server's tls-creds, and the guest's data goes over the network in plain text; an iSCSI initiator; a URI's fragment.",
		"State the whole chain in the XML, which has a place for some of it, or write the name without it: " +
			"qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingDisputed, "libvirt and QEMU read the name of a backing image differently",
		"Each would open something else, such as ssh://HOST/PATH, whose path libvirt takes to start in the user's home. Which one was meant cannot be told from here.",
		"State the whole chain in the XML, or write the name in a form that both read alike: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingRelative, "a header names a backing image by a relative path that starts nowhere",
		"Only a plain file name starts in the directory of its overlay. Inside a json: description, and where a socket or a folder is named, QEMU starts in " +
			"its own working directory; and an overlay that has no directory has nothing that a name could start from.",
		"Write an absolute name: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingDuplicate, "a header gives an option of its backing image twice",
		"Equal keys, or dotted ones that collide with nested ones, let two programs read two different things.",
		"Write the name anew: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingNoPool, "a header names an rbd image without its pool, or a gluster file without its volume",
		"libvirt takes both for what they are and then cannot start the guest.",
		"Write the whole name: qemu-img rebase -u -f FORMAT -F FORMAT -b rbd:POOL/IMAGE OVERLAY."},
	{NameUnrepresentable, "a name in a header cannot be written into a domain XML",
		"It holds control characters, a NUL, a line end or bytes that are not UTF-8, which libvirt would drop or change; or it is empty, or has " +
			"a slash where the XML divides it.",
		"Rename the image and write the name anew: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingDirectory, "a header names a folder as its backing image",
		"QEMU makes such an image up from the files in the folder, anew at every start. As the base of an overlay it changes under it.",
		"Put the files into an image and let the overlay name that."},
	{ChainLoop, "an image is its own backing image",
		"The same file appears twice in the chain, perhaps through a link. QEMU and libvirt would run until a limit stops them.",
		"Where it is the XML that comes back to the image, remove that <backingStore> from it, or rebuild the chain from the headers: --refresh. Where it " +
			"is a header, give the overlay its real backing image: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{ChainTooDeep, "the chain has too many layers",
		"libvirt refuses more than 200.",
		"Shorten it: virsh blockcommit on a running guest, qemu-img commit on one that is off."},
	{ChainStale, "the XML goes on where the header ends",
		"The image has no backing image any more (it was flattened, converted or restored), but the XML still has one. Every " +
			"cluster that is not allocated would read through to the old base: silent corruption. Cloned guests are often like this. Internal snapshots of before an image was flattened " +
			"still need the old base: after a revert to one of them the XML is right, and the header has to name it again.",
		decide},
	{ChainCut, "the XML ends where the header goes on",
		"The image has a backing image, but the XML says that there is none. The guest would read zeros in its place.",
		decide},
	{ChainConflict, "the XML and the header name different backing images",
		"libvirt follows the XML without a look at the header; one of the two is wrong.",
		decide},
	{FormatConflict, "the XML and the overlay state different formats for a backing image",
		"libvirt follows the XML without a look at the header; the wrong one shows the guest garbage.",
		decide},
	{ChainMoved, "the header names an image that is not there; the XML's is",
		"The images were moved, and the XML was told. libvirt will follow the XML, so it is kept.",
		"Mend the header, so that other tools find the image too: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{ChainUnverified, "an explicit chain could not be compared with the images",
		"The XML states the whole chain, so nothing will be guessed; whether it is right cannot be told from here.",
		"Run chainfix check on the host that has the images."},
	{ChainKept, "the XML disagrees with a header and was kept",
		"--keep-xml was given, or the policy file keeps the chain of this disk.",
		"Nothing, if you are sure. Mend the image when you can: qemu-img rebase -u -f FORMAT -F FORMAT -b NAME OVERLAY."},
	{BackingTypeless, "a <backingStore> has content but no type",
		"libvirt reads it as the end of the chain, whatever is inside, although its schema accepts it.",
		"If the chain should go on, add type='file' or type='block'; else remove the content."},
	{TargetTooOld, "the libvirt that will read the XML does not understand what would have to be written",
		"--target-libvirt, or without it the oldest libvirt that chainfix writes for, 6.1, lacks something that this chain needs. As a warning: the chain has more than 25 layers, and libvirt 10.8 to 11.10, " +
			"one of which will read the XML or may, does not start a guest on it, whether the XML states the chain or not.",
		"If a newer libvirt will read the result, say so: --target-libvirt X.Y. Else upgrade that libvirt first, or shorten the chain where its length is what is wrong."},
	{ChainElsewhere, "an image that is no disk's has a chain, which is lost",
		"A definition names images in other places too: firmware (<loader>), its variables (<nvram>), a <kernel>, an <initrd>, the <source> of a TPM. No chain can be stated there. Of " +
			"firmware and its variables libvirt since 9.2 takes the format, and tells QEMU that nothing is below; before, it opens the file as raw, whatever is stated. " +
			"All others are read byte by byte. So the guest sees zeros, or the bytes of a container. These places are left as they are, and what such an image names is not looked at.",
		"Name an image there that has the whole content in it, in the format that is stated: if nobody but you can have written the image, qemu-img convert makes one of a chain."},
}
