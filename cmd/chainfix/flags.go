package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/chain"
	"github.com/chainfix/chainfix/chain/libvirt"
	"github.com/chainfix/chainfix/chain/limit"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/report"
	"github.com/chainfix/chainfix/cmd/chainfix/internal/text"
)

// options are the validated flags of one command. Parsing opens nothing, so a
// wrong command line is reported before any file is read.
type options struct {
	diff, list, write bool   // where the result goes, see deliver
	json              bool   // --output json
	form              string // the value of --output; "" if not given

	// What is shown of the report on a host.
	detail   text.Detail
	only     []string
	severity string
	filter   report.Filter // of both
	color    colorWhen

	verify  bool   // the hook fails where a chain is refused
	log     string // the file for the hook's messages, "" for none
	logJSON bool   // write JSON objects, one per line

	connect  string // the URI of the libvirt to ask
	from     string // the folder to read instead, "" for none
	dryRun   bool
	all      bool   // apply changes every guest, not only those that need it
	yes      bool   // do not ask
	stateDir string // the folder of the runs; "" for the default
	// rebaseScript is the file for the commands that record formats, "" for none.
	rebaseScript string
	// draftPolicy is the file for the open decisions, "" for none.
	draftPolicy string

	snapshots, saved bool // what apply changes besides definitions

	keep bool // keep the demo's folder

	// nil if not given: the policy file decides.
	rule         *chain.Rule
	policyFile   *string
	pools        *string
	trust        []chain.Statement
	target       libvirt.Version // zero if not given
	predict      []libvirt.Pair  // the libvirts to predict for
	disagreement chain.Disagreement

	network bool
	qemuImg string // "" for none

	jobs    int           // requests in flight
	timeout time.Duration // of each
}

// flagRow is one flag: what cli parses and shows, and the option that it sets. To
// add a flag, add a row to one of the groups below and the code that uses its
// option; a test lists the texts that do not mention it.
type flagRow struct {
	cli.Flag
	// set is called if the flag was given. Its errors are usage errors.
	set func(o *options, c *cli.Context) error
}

// allFlags are the flags of all commands, with duplicates.
func allFlags() []flagRow {
	return slices.Concat(rewriteFlags(), outputFlags(), outFlags(), hookFlags(), connectFlags(), fromFlags(), predictFlags(), applyFlags(), allFlag(), hostFlags(), askFlags(), demoFlags(), jobsFlags(), policyFlags())
}

// flagsOf returns the flags of a command for cli.
func flagsOf(groups ...[]flagRow) []cli.Flag {
	var flags []cli.Flag
	for _, row := range slices.Concat(groups...) {
		flags = append(flags, plainNamed(row.Flag))
	}
	return flags
}

// plainNamed returns a flag whose names are precomputed. cli asks for the names of
// all flags once per flag, and each time runs a regular expression for the syntax
// of its version 1: that takes a twentieth of a run.
func plainNamed(f cli.Flag) cli.Flag {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return boolFlag{f}
	case *cli.StringFlag:
		return stringFlag{f}
	case *cli.StringSliceFlag:
		return stringSliceFlag{f}
	}
	return f
}

type (
	boolFlag        struct{ *cli.BoolFlag }
	stringFlag      struct{ *cli.StringFlag }
	stringSliceFlag struct{ *cli.StringSliceFlag }
)

// Names implements [cli.Flag].
func (f boolFlag) Names() []string        { return append([]string{f.Name}, f.Aliases...) }
func (f stringFlag) Names() []string      { return append([]string{f.Name}, f.Aliases...) }
func (f stringSliceFlag) Names() []string { return append([]string{f.Name}, f.Aliases...) }

// optionsOf returns the options of the running command.
func optionsOf(c *cli.Context) (*options, error) {
	o := &options{connect: defaultConnect(), jobs: limit.DefaultJobs}
	o.timeout, _ = parseTimeout(c.String("timeout")) // the command's default
	for _, row := range allFlags() {
		if !c.IsSet(plainNamed(row.Flag).Names()[0]) {
			continue
		}
		if err := row.set(o, c); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// rewriteFlags say where the new document goes, as in shfmt and gofmt.
func rewriteFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "diff", Aliases: []string{"d"}, Usage: "print a unified diff instead of the document"},
			func(o *options, c *cli.Context) error { o.diff = c.Bool("diff"); return nil }},
		{&cli.BoolFlag{Name: "list", Aliases: []string{"l"}, Usage: "print the names of the files that would change"},
			func(o *options, c *cli.Context) error { o.list = c.Bool("list"); return nil }},
		{&cli.BoolFlag{Name: "write", Aliases: []string{"w"}, Usage: "rewrite FILE in place, atomically"},
			func(o *options, c *cli.Context) error { o.write = c.Bool("write"); return nil }},
	}
}

// outputFlags choose between text and JSON.
func outputFlags() []flagRow { return []flagRow{outputFlag("text", "json")} }

// outputFlag selects one of these forms, by default the first.
func outputFlag(words ...string) flagRow {
	return flagRow{
		&cli.StringFlag{Name: "output", Value: words[0], Usage: "print `" + strings.Join(words, "|") + "`",
			Action: func(_ *cli.Context, word string) error {
				if !slices.Contains(words, word) {
					return usageError("unknown output %q (want one of %s)", word, strings.Join(words, ", "))
				}
				return nil
			}},
		func(o *options, c *cli.Context) error {
			o.form = c.String("output")
			o.json = o.form == "json"
			return nil
		},
	}
}

func isJSON(what, word string) (bool, error) {
	switch word {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usageError("unknown %s %q (want \"text\" or \"json\")", what, word)
}

// hookFlags are the flags that only the hook has.
func hookFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "verify", Usage: "fail if a chain is refused for any reason: the guest then does not start, migrate in or get restored"},
			func(o *options, c *cli.Context) error {
				if o.verify = c.Bool("verify"); o.verify && c.Bool("no-guard") {
					return usageError("--verify and --no-guard contradict each other")
				}
				return nil
			}},
		{&cli.BoolFlag{Name: "no-guard", Usage: "let guests start whose explicit chain contradicts the headers of its images"},
			func(*options, *cli.Context) error { return nil }},
		{&cli.StringFlag{Name: "log", Usage: "append all messages to `FILE`; libvirt shows them only if the hook fails"},
			func(o *options, c *cli.Context) error { o.log = c.String("log"); return nil }},
		{&cli.StringFlag{Name: "log-format", Value: "text", Usage: "write the --log file as `text|json`"},
			func(o *options, c *cli.Context) error {
				if !c.IsSet("log") {
					return usageError("--log-format needs --log")
				}
				var err error
				o.logJSON, err = isJSON("log-format", c.String("log-format"))
				return err
			}},
		timeoutFlag(hookTimeout, "finish within `TIME`; images not read by then count as unreadable"),
	}
}

// connectFlags select the libvirt that a host command asks.
func connectFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "connect", Usage: "the libvirt to ask, by a local socket: `URI`", DefaultText: "$LIBVIRT_DEFAULT_URI, or qemu:///system"},
			func(o *options, c *cli.Context) error { o.connect = c.String("connect"); return nil }},
	}
}

// defaultConnect returns the libvirt that is asked if no flag names one. It
// honours LIBVIRT_DEFAULT_URI as libvirt's own clients do (virConnectOpen), so
// that virsh and chainfix see the same guests.
func defaultConnect() string {
	if uri := os.Getenv("LIBVIRT_DEFAULT_URI"); uri != "" {
		return uri
	}
	return "qemu:///system"
}

// fromFlags are for a host whose libvirt is not asked.
func fromFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "from", Usage: "read the definitions in `DIR`, such as /etc/libvirt/qemu, without asking libvirt"},
			func(o *options, c *cli.Context) error {
				o.from = c.String("from")
				switch {
				case c.IsSet("connect"):
					return usageError("--from and --connect contradict each other")
				case o.from == "":
					return usageError("--from needs a folder")
				}
				return nil
			}},
	}
}

// predictFlags select the libvirts to predict for.
func predictFlags() []flagRow {
	return predictFlag("predict how the unchanged guests start on libvirt X.Y[.Z], with its distribution's QEMU or the one given: `LIBVIRT[+QEMU]` (repeatable)")
}

// applyPredictFlags select the libvirts that decide which guests need an explicit chain.
func applyPredictFlags() []flagRow {
	return predictFlag("fix what libvirt X.Y[.Z] needs fixed, instead of what the running libvirt needs: `LIBVIRT[+QEMU]`, as for scan (repeatable)")
}

func predictFlag(usage string) []flagRow {
	return []flagRow{
		{&cli.StringSliceFlag{Name: "predict", Usage: usage},
			func(o *options, c *cli.Context) error {
				for _, word := range c.StringSlice("predict") {
					pair, err := libvirt.ParsePair(word)
					if err != nil {
						return usageError("--predict: %w", err)
					}
					o.predict = append(o.predict, pair)
				}
				return nil
			}},
	}
}

// applyFlags are the flags of host apply and rollback.
func applyFlags() []flagRow {
	return append([]flagRow{
		{&cli.BoolFlag{Name: "dry-run", Usage: "print what would change, and change nothing"},
			func(o *options, c *cli.Context) error { o.dryRun = c.Bool("dry-run"); return nil }},
	}, stateFlags()...)
}

// allFlag makes apply change all guests.
func allFlag() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "all", Usage: "make every chain explicit where that is safe, also for guests that do not need it"},
			func(o *options, c *cli.Context) error { o.all = c.Bool("all"); return nil }},
	}
}

// stateFlags say where the runs are.
func stateFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "state-dir", Usage: "keep the runs, with the old definitions, in `DIR`", DefaultText: "/var/lib/chainfix, or for a user ~/.local/state/chainfix"},
			func(o *options, c *cli.Context) (err error) {
				if c.String("state-dir") == "" {
					return usageError("--state-dir needs a folder")
				}
				if o.stateDir, err = filepath.Abs(c.String("state-dir")); err != nil {
					return inputError(err)
				}
				return nil
			}},
	}
}

// policyFlags are the same for every command that walks a chain except the hook.
func policyFlags() []flagRow {
	return slices.Concat(statementFlags(), disagreementFlags(), networkFlags(), timeoutFlags(limit.DefaultTimeout))
}

// statementFlags carry the operator's statements. They are the only policy
// flags of the hook.
func statementFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "rule", Value: chain.Leaf.String(),
			Usage: "when to take an unrecorded format from the image's header: `leaf|strict|declared`"},
			func(o *options, c *cli.Context) error {
				rule, err := chain.ParseRule(c.String("rule"))
				if err != nil {
					return usageError("--rule: %w", err)
				}
				o.rule = &rule
				return nil
			}},
		{&cli.StringSliceFlag{Name: "trust", Usage: "state the format of an image, by its absolute path or URI: `PATH=FORMAT` (repeatable)"},
			func(o *options, c *cli.Context) (err error) {
				o.trust, err = parseTrust(c.StringSlice("trust"))
				return err
			}},
		{&cli.StringFlag{Name: "policy", Usage: "read a policy file (YAML): `FILE`"},
			func(o *options, c *cli.Context) error { o.policyFile = valueOf(c, "policy"); return nil }},
		{&cli.StringSliceFlag{Name: "target-libvirt", Usage: "the libvirt that will read the result: `X.Y[.Z]`"},
			func(o *options, c *cli.Context) error {
				words := c.StringSlice("target-libvirt")
				if len(words) > 1 {
					return usageError("--target-libvirt is given twice, but only one libvirt reads the result; to see how guests start on others: host scan --predict")
				}
				target, err := libvirt.ParseVersion(words[0])
				if err != nil {
					return usageError("--target-libvirt: %w", err)
				}
				o.target = target
				return nil
			}},
		{&cli.StringFlag{Name: "pools", Usage: "read the definitions of libvirt's storage pools from `DIR`", DefaultText: "those of the host; or /etc/libvirt/storage"},
			func(o *options, c *cli.Context) error { o.pools = valueOf(c, "pools"); return nil }},
	}
}

// disagreementFlags decide where the XML and the image headers contradict each
// other.
func disagreementFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "refresh", Usage: "if the XML's chain contradicts the image headers, rebuild it from the headers"},
			func(o *options, c *cli.Context) error {
				if c.Bool("refresh") {
					o.disagreement = chain.HeadersWin
				}
				return nil
			}},
		{&cli.BoolFlag{Name: "keep-xml", Usage: "if they contradict each other, keep the XML's chain"},
			func(o *options, c *cli.Context) error {
				switch {
				case c.Bool("keep-xml") && c.Bool("refresh"):
					return usageError("--refresh and --keep-xml contradict each other")
				case c.Bool("keep-xml"):
					o.disagreement = chain.XMLWins
				}
				return nil
			}},
	}
}

// networkFlags allow reading images that are not on this host.
func networkFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "network", Usage: "read the headers of images on the network: http, https and nbd"},
			func(o *options, c *cli.Context) error { o.network = c.Bool("network"); return nil }},
		{&cli.StringFlag{Name: "qemu-img", Usage: "with --network, read images of other protocols with this qemu-img: `PROGRAM`"},
			func(o *options, c *cli.Context) error {
				if o.qemuImg = c.String("qemu-img"); o.qemuImg != "" && !c.Bool("network") {
					return usageError("--qemu-img needs --network")
				}
				return nil
			}},
	}
}

// askFlags suppress the confirmation.
func askFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation, even on a terminal"},
			func(o *options, c *cli.Context) error { o.yes = c.Bool("yes"); return nil }},
	}
}

// jobsFlags are the flags of the commands that read many images.
func jobsFlags() []flagRow {
	return []flagRow{
		{&cli.IntFlag{Name: "jobs", Value: limit.DefaultJobs, Usage: "read up to `N` images at the same time"},
			func(o *options, c *cli.Context) error {
				if o.jobs = c.Int("jobs"); o.jobs < 1 || o.jobs > maxJobs {
					return usageError("--jobs %d (want 1 to %d)", o.jobs, maxJobs)
				}
				return nil
			}},
	}
}

// maxJobs is what --jobs may be at most: each may take a thread.
const maxJobs = 1024

// timeoutFlags bound how long the storage of an image may take to answer.
func timeoutFlags(timeout time.Duration) []flagRow {
	return []flagRow{timeoutFlag(timeout, "refuse an image whose storage does not answer within `TIME`")}
}

func timeoutFlag(timeout time.Duration, usage string) flagRow {
	return flagRow{&cli.StringFlag{Name: "timeout", Value: timeout.String(), Usage: usage},
		func(o *options, c *cli.Context) (err error) {
			o.timeout, err = parseTimeout(c.String("timeout"))
			return err
		}}
}

// parseTimeout parses a duration: "90s", "1m30s", or seconds as for timeout(1), "90".
func parseTimeout(word string) (time.Duration, error) {
	timeout, err := time.ParseDuration(word)
	if err != nil {
		timeout, err = time.ParseDuration(word + "s")
	}
	if err != nil || timeout <= 0 {
		return 0, usageError("--timeout %q (want a time above 0, such as 10s)", word)
	}
	return timeout, nil
}

func valueOf(c *cli.Context, name string) *string {
	value := c.String(name)
	return &value
}
