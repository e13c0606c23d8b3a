package finding

// Code names a kind of finding, in kebab-case: "image-missing". Codes are stable: they
// never change and are never used for anything else. [Explain] explains each.
type Code string

// Findings about the document, made by package xmlfix.
const (
	XMLSyntax      Code = "xml-syntax"
	XMLEncoding    Code = "xml-encoding"
	XMLAmbiguous   Code = "xml-ambiguous"
	NotADomain     Code = "not-a-domain"
	InputLimit     Code = "input-too-large"
	DiskUnreadable Code = "disk-unreadable"
)

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

// Findings about a guest of a host.
const (
	ManagedSave       Code = "managed-save"
	BlockJob          Code = "block-job"
	TransientLeftover Code = "transient-leftover"
)

// Findings about one image.
const (
	ImageMissing     Code = "image-missing"
	ImageUnreadable  Code = "image-unreadable"
	NotAnImage       Code = "not-an-image"
	ImageBroken      Code = "image-broken"
	FormatMismatch   Code = "format-mismatch"
	RawWithSignature Code = "raw-with-signature"
	Encrypted        Code = "encrypted"
	DataFile         Code = "data-file"
	DataFileConflict Code = "data-file-conflict"
	ForeignExtents   Code = "foreign-extents"
	Differencing     Code = "differencing"
	ImageSwapped     Code = "image-swapped"
)

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
)
