// Slow measures a scan of a host with its images on a slow file system: it
// builds chainfix, makes a host of 300 guests with 2,700 images, and scans it
// through testdata/slowfs, with one worker and with chainfix's default.
//
//	go run ./testdata/performance/slow [-delay D] [-cache D] [-local]
//
// It needs root and /dev/fuse. The definitions are on the machine's own file
// system. Each scan has a separate mount, of which the kernel has cached
// nothing. With -local the images are on the machine's own file system too;
// then each scan is run nine times, in turn, and the median is printed.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/chainfix/chainfix/testdata/slowfs/mount"
)

func main() {
	var slowness mount.Options
	flag.DurationVar(&slowness.Delay, "delay", 5*time.Millisecond, "how long each request takes")
	flag.DurationVar(&slowness.Cache, "cache", time.Hour, "how long the kernel remembers names and attributes")
	local := flag.Bool("local", false, "measure without the slow file system")
	flag.Parse()
	dir, err := os.MkdirTemp("", "chainfix-slow-")
	if err == nil {
		err = measure(dir, os.Stdout, slowness, *local)
		os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(dir string, w io.Writer, slowness mount.Options, local bool) error {
	chainfix := filepath.Join(dir, "chainfix")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", chainfix, "./cmd/chainfix")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	ways := [][]string{{"--jobs", "1"}, nil}
	images := filepath.Join(dir, "images")
	if err := makeImages(images); err != nil {
		return err
	}

	if local {
		return measureLocal(dir, w, chainfix, images, ways)
	}
	fmt.Fprintf(w, "%d guests, %d images, %v a request, names and attributes remembered for %v\n\n", guests, guests*disks*layers, slowness.Delay, slowness.Cache)
	fmt.Fprintln(w, "| flags | s | requests an image | most at the same time | output |")
	fmt.Fprintln(w, "| --- | ---: | --- | ---: | --- |")
	var first []byte
	for i, flags := range ways {
		r, err := scan(chainfix, flags, dir, images, slowness)
		if err != nil {
			return err
		}
		output := "the first"
		switch {
		case i == 0:
			first = r.output
		case bytes.Equal(r.output, first):
			output = "identical"
		default:
			output = "**differs**"
		}
		name := "none"
		if len(flags) > 0 {
			name = strings.Join(flags, " ")
		}
		fmt.Fprintf(w, "| %s | %.2f | %s | %d | %s |\n", name, r.took.Seconds(), perImage(r.counts.Requests), r.counts.Most, output)
	}
	return nil
}

// result is the output, the time and the requests of one scan.
type result struct {
	output []byte
	took   time.Duration
	counts mount.Counts
}

var ofRun = regexp.MustCompile(`"(device|time|source)":"[^"]*"`)

// scan mounts the images, and scans a host whose definitions name them there.
func scan(chainfix string, flags []string, dir, images string, slowness mount.Options) (r result, err error) {
	slow, err := mount.Start(images, slowness)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, slow.Close()) }()
	definitions := filepath.Join(dir, "definitions")
	defer os.RemoveAll(definitions)
	if err := makeDefinitions(definitions, slow.Dir); err != nil {
		return result{}, err
	}
	if _, err := slow.Counts(); err != nil { // what mounting took
		return result{}, err
	}
	if r, err = run(chainfix, definitions, flags); err != nil {
		return result{}, err
	}
	// The mount point, its device number, the folder and the time differ for each scan.
	r.output = bytes.ReplaceAll(r.output, []byte(slow.Dir), []byte("/images"))
	r.output = ofRun.ReplaceAll(r.output, nil)
	r.counts, err = slow.Counts()
	return r, err
}

// run scans the definitions of a folder.
func run(chainfix, definitions string, flags []string) (r result, err error) {
	var complaint strings.Builder
	cmd := exec.Command(chainfix, append([]string{"host", "scan", "--from", definitions, "--output", "json"}, flags...)...)
	cmd.Stderr = &complaint
	start := time.Now()
	r.output, err = cmd.Output()
	r.took = time.Since(start)
	// Some guests can be fixed, and none is refused.
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		return result{}, fmt.Errorf("chainfix host scan: %w\n%s", err, complaint.String())
	}
	return r, nil
}

// measureLocal scans the images where they are, also with a policy of thousands of
// statements.
func measureLocal(dir string, w io.Writer, chainfix, images string, ways [][]string) error {
	definitions, policy := filepath.Join(dir, "definitions"), filepath.Join(dir, "policy.yaml")
	if err := errors.Join(makeDefinitions(definitions, images), makePolicy(policy, images)); err != nil {
		return err
	}
	ways = append(ways, []string{"--policy", policy})
	took := make([][]time.Duration, len(ways))
	for range 9 {
		for i, flags := range ways {
			r, err := run(chainfix, definitions, flags)
			if err != nil {
				return err
			}
			took[i] = append(took[i], r.took)
		}
	}
	fmt.Fprintf(w, "%d guests, %d images on a local disk\n\n| flags | s |\n| --- | ---: |\n", guests, guests*disks*layers)
	for i, flags := range ways {
		slices.Sort(took[i])
		name := "none"
		if len(flags) > 0 {
			name = flags[0]
		}
		fmt.Fprintf(w, "| %s | %.3f |\n", name, took[i][len(took[i])/2].Seconds())
	}
	return nil
}

// perImage lists operations with how many of each an image took.
func perImage(requests map[string]int) string {
	var each []string
	total := 0
	for _, operation := range slices.Sorted(maps.Keys(requests)) {
		total += requests[operation]
		each = append(each, fmt.Sprintf("%s %.2f", operation, float64(requests[operation])/(guests*disks*layers)))
	}
	return fmt.Sprintf("%.2f: %s", float64(total)/(guests*disks*layers), strings.Join(each, ", "))
}
