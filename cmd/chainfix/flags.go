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
	"github.com/chainfix/chainfix/probe"
)

// options are what the flags of one command say, checked. Nothing is opened to
// find that out, so a wrong command line is reported before any file is read.
type options struct {
	diff, list, write bool   // what becomes of the document, see deliver
	json              bool   // --output json
	form              string // what --output says; "" where it is not given

	// What of the report on a host is shown.
	detail   text.Detail
	only     []string
	severity string
	filter   report.Filter // of both
	color    colorWhen

	verify  bool   // the hook fails where a chain is refused
	log     string // the file for the hook's messages, "" for none
	logJSON bool   // they are objects, one a line

	connect  string // the URI of the libvirt to ask
	from     string // the folder to read instead, "" for none
	dryRun   bool
	all      bool   // what apply changes: every guest, and not only those that need it
	yes      bool   // nobody is asked
	stateDir string // the folder of the runs; "" for the default
	// rebaseScript is the file for the commands that record formats, "" for none.
	rebaseScript string
	// draftPolicy is the file for what there is to decide, "" for none.
	draftPolicy string

	snapshots, saved bool // what apply changes besides definitions

	keep bool // the folder of the demo

	// What is nil was not given, so that the policy file decides.
	rule         *chain.Rule
	policyFile   *string
	pools        *string
	trust        []chain.Statement
	target       libvirt.Version // zero if it was not given
	predict      []libvirt.Pair  // the libvirts to predict for
	disagreement chain.Disagreement

	network bool
	qemuImg string // "" for none

	jobs    int           // requests in flight
	timeout time.Duration // of each
}

// flagRow is one flag: what cli parses and shows, and what it sets. A new flag is
// a row in one of the groups below and the code that acts on its option; a test
// says which text does not mention it.
type flagRow struct {
	cli.Flag
	// set is called if the flag was given. Its errors are about the command line.
	set func(o *options, c *cli.Context) error
}

// allFlags are the flags of all commands, some of them several times.
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

// plainNamed returns a flag that tells its names at once. cli asks for the names of
// every flag for every flag, and looks each time for what version 1 of it had
// behind them, by a regular expression: that takes a twentieth of a run.
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

// optionsOf returns what the flags of the command that runs say.
func optionsOf(c *cli.Context) (*options, error) {
	o := &options{connect: defaultConnect(), jobs: limit.DefaultJobs}
	o.timeout, _ = parseTimeout(c.String("timeout")) // the command's own, where none is given
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

// outputFlag chooses one of these forms, the first where it is not given.
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

// hookFlags are those of the hook alone.
func hookFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "verify", Usage: "fail where a chain is refused for any reason: the guest does not start, arrive or get restored"},
			func(o *options, c *cli.Context) error {
				if o.verify = c.Bool("verify"); o.verify && c.Bool("no-guard") {
					return usageError("--verify and --no-guard contradict each other")
				}
				return nil
			}},
		{&cli.BoolFlag{Name: "no-guard", Usage: "let guests start whose explicit chain contradicts the headers of its images"},
			func(*options, *cli.Context) error { return nil }},
		{&cli.StringFlag{Name: "log", Usage: "append everything that there is to say to `FILE`; libvirt shows it only if the hook fails"},
			func(o *options, c *cli.Context) error { o.log = c.String("log"); return nil }},
		{&cli.StringFlag{Name: "log-format", Value: "text", Usage: "write to the file of --log as `text|json`"},
			func(o *options, c *cli.Context) error {
				if !c.IsSet("log") {
					return usageError("--log-format needs --log")
				}
				var err error
				o.logJSON, err = isJSON("log-format", c.String("log-format"))
				return err
			}},
		timeoutFlag(hookTimeout, "take no longer than `TIME` in all; what was not looked at by then is as good as unreadable"),
	}
}

// connectFlags say which libvirt a command for a whole host asks.
func connectFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "connect", Usage: "the libvirt to ask, by a local socket: `URI`", DefaultText: "$LIBVIRT_DEFAULT_URI, or qemu:///system"},
			func(o *options, c *cli.Context) error { o.connect = c.String("connect"); return nil }},
	}
}

// defaultConnect is the libvirt that is asked where no flag says so.
// LIBVIRT_DEFAULT_URI counts as it does for libvirt's own clients
// (virConnectOpen), so that virsh and chainfix, typed one after the other, are
// about the same guests.
func defaultConnect() string {
	if uri := os.Getenv("LIBVIRT_DEFAULT_URI"); uri != "" {
		return uri
	}
	return "qemu:///system"
}

// fromFlags are for a host whose libvirt is not to be asked.
func fromFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "from", Usage: "read the definitions in `DIR`, such as /etc/libvirt/qemu, and ask no libvirt"},
			func(o *options, c *cli.Context) error {
				o.from = c.String("from")
				switch {
				case c.IsSet("connect"):
					return usageError("--from and --connect contradict each other")
				case o.from == "":
					return usageError("--from names no folder")
				}
				return nil
			}},
	}
}

// predictFlags say for which libvirts the guests are looked at as they are.
func predictFlags() []flagRow {
	return predictFlag("say what libvirt X.Y[.Z] will make of the guests as they are, or that with another QEMU than a distribution pairs with it: `LIBVIRT[+QEMU]` (repeatable)")
}

// applyPredictFlags say which libvirts it is that guests need an explicit chain for.
func applyPredictFlags() []flagRow {
	return predictFlag("fix what libvirt X.Y[.Z] will need fixed, and not what the one that runs does: `LIBVIRT[+QEMU]`, as for scan (repeatable)")
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

// applyFlags are those of host apply and rollback.
func applyFlags() []flagRow {
	return append([]flagRow{
		{&cli.BoolFlag{Name: "dry-run", Usage: "print what would change, and change nothing"},
			func(o *options, c *cli.Context) error { o.dryRun = c.Bool("dry-run"); return nil }},
	}, stateFlags()...)
}

// allFlag says that apply takes all guests.
func allFlag() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "all", Usage: "make every chain explicit that safely can be, also of guests that do not need it"},
			func(o *options, c *cli.Context) error { o.all = c.Bool("all"); return nil }},
	}
}

// stateFlags say where the runs are.
func stateFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "state-dir", Usage: "the folder of the runs, which keep the old definitions: `DIR`", DefaultText: "/var/lib/chainfix, or for a user ~/.local/state/chainfix"},
			func(o *options, c *cli.Context) (err error) {
				if c.String("state-dir") == "" {
					return usageError("--state-dir names no folder")
				}
				if o.stateDir, err = filepath.Abs(c.String("state-dir")); err != nil {
					return inputError(err)
				}
				return nil
			}},
	}
}

// policyFlags are the same on every command that walks a chain, but for the hook.
func policyFlags() []flagRow {
	return slices.Concat(statementFlags(), disagreementFlags(), networkFlags(), timeoutFlags(limit.DefaultTimeout))
}

// statementFlags are those with what the operator knows. The hook has no other
// policy flags.
func statementFlags() []flagRow {
	return []flagRow{
		{&cli.StringFlag{Name: "rule", Value: chain.Leaf.String(),
			Usage: "when to take a format that nobody recorded from the image: `leaf|strict|declared`"},
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
		{&cli.StringFlag{Name: "policy", Usage: "read such statements, and more, from the policy `FILE` (YAML)"},
			func(o *options, c *cli.Context) error { o.policyFile = valueOf(c, "policy"); return nil }},
		{&cli.StringSliceFlag{Name: "target-libvirt", Usage: "the libvirt that will read the result: `X.Y[.Z]`"},
			func(o *options, c *cli.Context) error {
				words := c.StringSlice("target-libvirt")
				if len(words) > 1 {
					return usageError("--target-libvirt is given twice: one libvirt reads the result; to see what others make of the guests of a host as they are: host scan --predict")
				}
				target, err := libvirt.ParseVersion(words[0])
				if err != nil {
					return usageError("--target-libvirt: %w", err)
				}
				o.target = target
				return nil
			}},
		{&cli.StringFlag{Name: "pools", Usage: "the folder with the definitions of libvirt's storage pools: `DIR`", DefaultText: "those of the host; or /etc/libvirt/storage"},
			func(o *options, c *cli.Context) error { o.pools = valueOf(c, "pools"); return nil }},
	}
}

// disagreementFlags decide where the XML and the image headers contradict each
// other.
func disagreementFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "refresh", Usage: "where the XML's chain disagrees with the images, rebuild it from their headers"},
			func(o *options, c *cli.Context) error {
				if c.Bool("refresh") {
					o.disagreement = chain.HeadersWin
				}
				return nil
			}},
		{&cli.BoolFlag{Name: "keep-xml", Usage: "where they disagree, keep what the XML says"},
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

// networkFlags let images be read that are not on this host.
func networkFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "network", Usage: "read the headers of images on the network: http, https and nbd"},
			func(o *options, c *cli.Context) error { o.network = c.Bool("network"); return nil }},
		{&cli.StringFlag{Name: "qemu-img", Usage: "with --network, read those of other protocols by this qemu-img `PROGRAM`"},
			func(o *options, c *cli.Context) error {
				if o.qemuImg = c.String("qemu-img"); o.qemuImg != "" && !c.Bool("network") {
					return usageError("--qemu-img needs --network")
				}
				return nil
			}},
	}
}

// askFlags are for those who are not to be asked.
func askFlags() []flagRow {
	return []flagRow{
		{&cli.BoolFlag{Name: "yes", Usage: "do not ask, on a terminal either"},
			func(o *options, c *cli.Context) error { o.yes = c.Bool("yes"); return nil }},
	}
}

// jobsFlags are those of the commands that look at many images.
func jobsFlags() []flagRow {
	return []flagRow{
		{&cli.IntFlag{Name: "jobs", Value: limit.DefaultJobs, Usage: "ask for `N` images at the same time"},
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

// timeoutFlags bound how long an image may take to answer.
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

// parseTimeout reads a time: "90s", "1m30s", or as timeout(1) takes it, 90.
func parseTimeout(word string) (time.Duration, error) {
	timeout, err := time.ParseDuration(word)
	if err != nil {
		timeout, err = time.ParseDuration(word + "s")
	}
	if err != nil || timeout <= 0 {
		return 0, usageError("--timeout %q (want a time of more than 0, as 10s)", word)
	}
	return timeout, nil
}

func valueOf(c *cli.Context, name string) *string {
	value := c.String(name)
	return &value
}

// parseTrust reads the --trust flags. One that is given twice is one.
func parseTrust(words []string) ([]chain.Statement, error) {
	dir, err := os.Getwd()
	if err != nil {
		dir = "" // only the hint about a relative path is poorer for it
	}
	var statements []chain.Statement
	stated := make(map[string]probe.Format)
	for _, word := range words {
		s, err := chain.ParseStatement(word, dir)
		if err != nil {
			return nil, usageError("--trust: %w", err)
		}
		switch before, ok := stated[s.Path]; {
		case ok && before != s.Format:
			return nil, usageError("--trust: %q is stated to be both %s and %s", s.Shown(), before, s.Format)
		case !ok:
			stated[s.Path] = s.Format
			statements = append(statements, s)
		}
	}
	return statements, nil
}
