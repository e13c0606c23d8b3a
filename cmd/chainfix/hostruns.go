//go:build !small

package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/chainfix/chainfix/cmd/chainfix/internal/host"
)

// runsSchema is the name and version of the JSON output of host runs.
const runsSchema = "chainfix/runs/v1"

func hostRunsCommand(std streams) *cli.Command {
	return &cli.Command{
		Name:        "runs",
		Usage:       "list the runs of apply, newest first: time, versions, and whether they are rolled back",
		Description: runsDescription,
		Flags:       flagsOf(stateFlags(), outputFlags(), outFlags()),
		Action:      func(c *cli.Context) error { return toOut(c, std, hostRuns) },
	}
}

// runsJSON are the runs of apply, the newest first.
type runsJSON struct {
	Schema string    `json:"schema"`
	Runs   []runJSON `json:"runs"`
}

// runJSON is one run of apply.
type runJSON struct {
	Run      string         `json:"run"`      // the folder
	Name     string         `json:"name"`     // its name in the state folder, as rollback takes it
	Time     time.Time      `json:"time"`     // when it began
	Chainfix string         `json:"chainfix"` // the version; "" if it is not known
	Libvirt  string         `json:"libvirt"`  // the version; "" if it is not known
	Connect  string         `json:"connect"`  // the URI of the libvirt
	Driver   string         `json:"driver"`   // of the libvirt
	User     string         `json:"user"`     // who ran it
	Finished bool           `json:"finished"` // it ran to its end
	State    string         `json:"state"`    // the outcome
	Guests   []runGuestJSON `json:"guests"`
}

// runGuestJSON is the outcome of one guest in a run, or of one of its snapshots,
// checkpoints or saved states.
type runGuestJSON struct {
	Name      string `json:"name"`
	UUID      string `json:"uuid"`
	Kind      string `json:"kind,omitempty"`   // of a snapshot, checkpoint or saved state, if it is about one
	Stored    string `json:"stored,omitempty"` // and its name
	Step      string `json:"step"`             // the last step that the run took
	Reason    string `json:"reason,omitempty"` // why it was left
	Changed   bool   `json:"changed"`          // the run changed it
	TakenBack bool   `json:"taken-back"`       // its old definition is restored
}

// The outcomes of a run.
const (
	runUnchanged = "nothing-changed"
	runChanged   = "changed"
	runPartly    = "partly-taken-back"
	runTakenBack = "taken-back"
)

func hostRuns(c *cli.Context, std streams) error {
	if err := atMost(c, 0, "no arguments"); err != nil {
		return err
	}
	o, err := optionsOf(c)
	if err != nil {
		return err
	}
	stateDir, err := o.stateFolder()
	if err != nil {
		return err
	}
	all := runsJSON{Schema: runsSchema, Runs: []runJSON{}}
	status := exitDone
	for run, err := range host.Runs(stateDir) {
		switch {
		case run == nil:
			return inputError(err)
		case err != nil:
			fmt.Fprintf(std.err, "%s: error: %s\n", shownName(run.Dir), err)
			status = exitInput
		case o.json:
			all.Runs = append(all.Runs, runOf(run))
		default:
			if err := runOf(run).printText(std.out); err != nil {
				return err
			}
		}
	}
	if o.json {
		if err := printJSON(std.out, all); err != nil {
			return err
		}
	}
	return ended(status)
}

func runOf(run *host.Run) runJSON {
	r := runJSON{
		Run: run.Dir, Name: filepath.Base(run.Dir), Time: run.Begun, Finished: run.Finished,
		Chainfix: run.Origin.Program, Libvirt: run.Origin.Libvirt, Connect: run.Origin.Connect, Driver: run.Origin.Driver, User: run.Origin.User,
		State: runUnchanged, Guests: []runGuestJSON{},
	}
	for _, g := range run.Guests() {
		r.Guests = append(r.Guests, runGuestJSON{g.Name, g.UUID, string(g.Stored.Kind), g.Stored.Name, string(g.Step), g.Reason, g.Changed, g.TakenBack})
	}
	switch changed, back := r.counts(); {
	case changed == 0:
	case back == 0:
		r.State = runChanged
	case back < changed:
		r.State = runPartly
	default:
		r.State = runTakenBack
	}
	return r
}

// counts returns how many guests the run changed, and how many of them are restored.
func (r runJSON) counts() (changed, back int) {
	for _, g := range r.Guests {
		if g.Changed {
			changed++
		}
		if g.TakenBack {
			back++
		}
	}
	return changed, back
}

// printText prints one line of text.
func (r runJSON) printText(w io.Writer) error {
	line := fmt.Sprintf("%s  %s  chainfix %s, libvirt %s  %s\n", shownName(r.Name), r.Time.UTC().Format("2006-01-02 15:04:05"), shownName(cmp.Or(r.Chainfix, "?")), shownName(cmp.Or(r.Libvirt, "?")), r.what())
	return write(w, []byte(line))
}

// what returns the outcome of the run in words.
func (r runJSON) what() string {
	changed, back := r.counts()
	what := fmt.Sprintf("%d changed", changed)
	switch r.State {
	case runTakenBack:
		what += ", rolled back"
	case runPartly:
		what += fmt.Sprintf(", %d rolled back", back)
	}
	if !r.Finished {
		what += ", not finished"
	}
	return what
}
