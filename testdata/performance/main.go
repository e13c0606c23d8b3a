// Performance prints the table of docs/dev/performance.md: it builds chainfix and
// the smallest program that reads the same bytes, makes the chains, and runs
// each pair of commands in turn.
//
//	go run ./testdata/performance
//
// It needs qemu-img. Figures are for whole processes, medians of the runs; a
// ratio is the median of the ratios of pairs, and so independent of changes in
// the machine's speed.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/chainfix/chainfix/probe/mkimage"
)

func main() {
	dir, err := os.MkdirTemp("", "chainfix-performance-")
	if err == nil {
		err = measure(dir, os.Stdout)
		os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const virtualSize = 16 << 20

func measure(dir string, w io.Writer) error {
	for _, program := range []struct{ name, pkg, tags string }{
		{"chainfix", "./cmd/chainfix", "urfave_cli_no_docs"}, {"small", "./cmd/chainfix", "small,urfave_cli_no_docs"},
		{"smallest", "./testdata/performance/smallest", ""},
	} {
		if err := install(program.pkg, program.tags, filepath.Join(dir, program.name)); err != nil {
			return fmt.Errorf("%s: %w", program.name, err)
		}
	}
	chainfix := filepath.Join(dir, "chainfix")

	three, err := newChain(dir, "three", 3)
	if err != nil {
		return err
	}
	fix := command{chainfix, "fix", three.document}
	small := command{filepath.Join(dir, "small"), "fix", three.document}
	smallest := append(command{filepath.Join(dir, "smallest"), three.document}, three.images...)
	info := command{"qemu-img", "info", "--backing-chain", three.images[0]}

	var documents, fewer []string
	var infos []command
	for i := range 300 {
		c, err := newChain(dir, fmt.Sprintf("guest%d", i), 9)
		if err != nil {
			return err
		}
		documents = append(documents, c.document)
		infos = append(infos, command{"qemu-img", "info", "--backing-chain", c.images[0]})
	}
	fewer = documents[:30]
	check := func(documents []string) command { return append(command{chainfix, "check"}, documents...) }

	deep, err := newChain(dir, "deep", 200)
	if err != nil {
		return err
	}
	shallow, err := newChain(dir, "shallow", 20)
	if err != nil {
		return err
	}

	fmt.Fprintf(w, "%s, %d processors, %s\n\n", runtime.Version(), runtime.NumCPU(), runtime.GOARCH)
	fmt.Fprintln(w, "| A | B | A, wall | B, wall | A/B, wall | A/B, CPU | A, peak | B, peak |")
	fmt.Fprintln(w, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, row := range []struct {
		a, b   string
		runs   int
		as, bs []command
	}{
		{"fix as packaged, 3 layers", "smallest Go program that reads the same", 101, []command{small}, []command{smallest}},
		{"fix as packaged, 3 layers", "qemu-img info --backing-chain", 101, []command{small}, []command{info}},
		{"fix, 3 layers", "smallest Go program that reads the same", 101, []command{fix}, []command{smallest}},
		{"fix, 3 layers", "qemu-img info --backing-chain", 101, []command{fix}, []command{info}},
		{"check, 300 documents, 2,700 layers", "qemu-img info --backing-chain, 300 times", 5, []command{check(documents)}, infos},
		{"check, 300 documents", "check, 30 documents", 21, []command{check(documents)}, []command{check(fewer)}},
		{"check, 200 layers", "check, 20 layers", 51, []command{check([]string{deep.document})}, []command{check([]string{shallow.document})}},
	} {
		if err := compare(w, row.a, row.b, row.runs, row.as, row.bs); err != nil {
			return err
		}
	}
	return nil
}

// install builds a program and replaces it by a copy, like an installed
// program. The linker writes the file page by page, and Linux maps it page by
// page until it is read from the disk again: a program of 17 MiB then starts a
// millisecond later.
func install(pkg, tags, path string) error {
	build := exec.Command("go", "build", "-tags", tags, "-o", path+".built", pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, step := range []*exec.Cmd{build, exec.Command("cp", path+".built", path)} {
		if out, err := step.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	return nil
}

// chain is a domain XML with its images, top first. Every overlay records the
// format of its backing image, except the last, whose base is raw.
type chain struct {
	document string
	images   []string
}

func newChain(dir, name string, layers int) (chain, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return chain{}, err
	}
	c := chain{document: filepath.Join(dir, "guest.xml")}
	for i := range layers {
		c.images = append(c.images, filepath.Join(dir, fmt.Sprintf("layer%d.img", i)))
	}
	for i, path := range c.images {
		image := mkimage.Qcow2{VirtualSize: virtualSize}
		switch i {
		case layers - 1:
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return chain{}, err
			}
			if err := os.Truncate(path, virtualSize); err != nil {
				return chain{}, err
			}
			continue
		case layers - 2:
			image.Backing = filepath.Base(c.images[i+1])
		default:
			image.Backing, image.BackingFormat = filepath.Base(c.images[i+1]), "qcow2"
		}
		b, err := image.Bytes()
		if err != nil {
			return chain{}, err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return chain{}, err
		}
	}
	return c, os.WriteFile(c.document, fmt.Appendf(nil, document, c.images[0]), 0o644)
}

const document = `<domain type='qemu'>
  <name>vm</name>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='%s'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
`

type command []string

// cost is the cost of a sequence of commands.
type cost struct {
	wall, cpu time.Duration
	peak      int64 // KiB, of the largest
}

func run(commands []command) (cost, error) {
	var total cost
	for _, c := range commands {
		cmd := exec.Command(c[0], c[1:]...)
		start := time.Now()
		err := cmd.Run()
		total.wall += time.Since(start)
		// check ends with 1 where there is something to fix.
		if err != nil && (cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1) {
			return cost{}, fmt.Errorf("%s: %w", strings.Join(c[:2], " "), err)
		}
		total.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		total.peak = max(total.peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	}
	return total, nil
}

func compare(w io.Writer, a, b string, runs int, as, bs []command) error {
	var costsA, costsB []cost
	for i := range runs + 1 {
		costA, err := run(as)
		if err != nil {
			return err
		}
		costB, err := run(bs)
		if err != nil {
			return err
		}
		if i > 0 { // the first pair warms the caches up
			costsA, costsB = append(costsA, costA), append(costsB, costB)
		}
	}
	wall := func(c cost) float64 { return c.wall.Seconds() }
	cpu := func(c cost) float64 { return c.cpu.Seconds() }
	peak := func(c cost) float64 { return float64(c.peak) / 1024 }
	_, err := fmt.Fprintf(w, "| %s | %s | %.1f ms | %.1f ms | %.4f | %.4f | %.1f MiB | %.1f MiB |\n", a, b,
		1000*median(costsA, wall), 1000*median(costsB, wall), ratio(costsA, costsB, wall), ratio(costsA, costsB, cpu),
		median(costsA, peak), median(costsB, peak))
	return err
}

func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func ratio(as, bs []cost, of func(cost) float64) float64 {
	values := make([]float64, len(as))
	for i := range as {
		values[i] = of(as[i]) / of(bs[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}
