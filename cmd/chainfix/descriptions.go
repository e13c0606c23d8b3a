package main

// What --help says of the commands besides their flags, in lines of 80 columns.

const appDescription = `libvirt refuses to start a guest, or guesses, where an overlay does not record
the format of its backing image. chainfix reads the headers of the images,
determines each format from a source that can be trusted, and writes the whole
chain into the guest's XML; or it refuses and says why. Without a command it
runs fix.

Examples:
  virsh dumpxml --inactive --security-info web |
    chainfix | virsh define /dev/stdin
  chainfix check web.xml       what is wrong, and what fix would do
  chainfix host scan           the same of all guests of this host
  chainfix host apply          fix them, and keep the old definitions
  chainfix explain CODE        what a finding means
  chainfix demo                a sample guest, broken and fixed
  chainfix version

Exit status:
  0  done, or nothing to do
  1  -l, -d, check, host scan: there is something to change
  2  the command line is wrong
  3  refused, or guests were left out
  4  reading or writing failed
`

const fixDescription = `
Reads a domain XML, makes every backing chain in it explicit, and prints the
document. The rest of it stays byte for byte as it was. If any chain is refused
nothing is printed, and standard error says why. Without a FILE, or for "-", it
reads standard input. With -l, -d or -w it takes several files.

Examples:
  virsh dumpxml --inactive --security-info web |
    chainfix | virsh define /dev/stdin
  chainfix fix -d web.xml                          what would change
  chainfix fix -l *.xml                            which files would
  chainfix fix -w --trust /img/base.img=qcow2 *.xml

Exit status:
  0  done, or nothing to do
  1  with -l or -d: there is something to change
  2  the command line is wrong
  3  refused: a chain cannot be made explicit safely
  4  the input cannot be read or is no domain XML, or writing failed
`

const stripDescription = `
Removes the chains that fix has written, and any other that the XML states for
a disk. Images are not read. Without a FILE, or for "-", it reads
standard input. With -l, -d or -w it takes several files.

Examples:
  chainfix strip web.xml > old.xml
  chainfix strip -w *.xml

Exit status:
  0  done, or nothing to do
  1  with -l or -d: there is something to change
  2  the command line is wrong
  3  refused: the document could be read in two ways
  4  the input cannot be read or is no domain XML, or writing failed
`

const checkDescription = `
Says of each document, disk and layer what fix would do, and why. Without a
FILE, or for "-", it reads standard input. Findings go to standard error.

Examples:
  chainfix check /etc/libvirt/qemu/*.xml
  virsh dumpxml --inactive web | chainfix check
  chainfix check --output json web.xml | jq '.documents[].verdict'

Exit status:
  0  every chain is explicit
  1  fix would change something
  2  the command line is wrong
  3  a chain is refused
  4  a document cannot be read or is no domain XML, or writing failed
`

const probeDescription = `
Shows what the header of an image says: its format, its size, and the names of
other images. None of these is opened, and no rule is applied: an image that a
guest wrote to can claim anything.

Examples:
  chainfix probe /images/web.qcow2
  chainfix probe --output json *.qcow2 | jq '.[].format'

Exit status:
  0  done
  2  the command line is wrong
  3  the header of an image is broken
  4  an image cannot be read, or writing failed
`

const explainDescription = `
Without a CODE it lists the codes of all findings. CODE may have the brackets in
which a finding is printed.

Examples:
  chainfix explain
  chainfix explain probed-backing

Exit status:
  0  done
  2  there is no such code
  4  writing failed
`

const schemaDescription = `
Prints the JSON Schema (draft 2020-12) of what a command prints with --output
json, of the hook's log, or of the policy file. Without a NAME it lists them.

Examples:
  chainfix schema
  chainfix schema probe > probe.schema.json

Exit status:
  0  done
  2  there is no such schema
  4  writing failed
`

const demoDescription = `
Builds a guest's XML and three images in a new folder for temporary files, shows
what is wrong with the chain and how it is fixed, and removes the folder. With
--keep, or in a DIR, everything stays to play with. It needs no QEMU and no
libvirt.

Examples:
  chainfix demo
  chainfix demo --keep
  chainfix demo /tmp/sample

Exit status:
  0  done
  2  the command line is wrong
  4  DIR is not empty, or reading or writing failed
`

const hostDescription = `
Works on the guests that libvirt has definitions of, on this machine.

Examples:
  chainfix host scan
  chainfix host apply --dry-run
  chainfix host apply
  chainfix host rollback

Exit status:
  0  done, or nothing to do
  1  of scan: apply would change something
  2  the command line is wrong
  3  guests are refused, or were left out
  4  libvirt cannot be asked, or reading or writing failed
`

const scanDescription = `
Says what somebody has to decide, and what is wrong, each cause once: guests
that will not start, that start and read the wrong data, or that start by a
guess. It changes nothing. Without GUESTs it looks at all of them. Definitions
come from the libvirt of this machine or, with --from, from a folder. Where an
answer or a hint is a flag, such as --trust, give it to host apply.

What chainfix can do: a guest is explicit, or fixable; it needs a decision, or
cannot be fixed. With -v each guest has a line, and its findings.

Examples:
  chainfix host scan
  chainfix host scan -v web db
  chainfix host scan --only will-not-start,wrong-data
  chainfix host scan --predict 11.3 --predict 10.0
  chainfix host scan --draft-policy policy.yaml
  chainfix host scan --from /mnt/old/etc/libvirt/qemu
  chainfix host scan --output json | jq '.guests[] | .name + ": " + .verdict'

Exit status:
  0  nothing to do
  1  apply would change something
  2  the command line is wrong
  3  a guest needs a decision, cannot be fixed, or is held back by apply
  4  libvirt or the folder cannot be read, or writing failed
`

const treeDescription = `
Draws which images stand on which: each base once, what stands on it below, and
the guests' disks at the ends. Three or more that look alike are drawn as one,
with their number. Words say what is wrong: an image that does not exist, one
whose chain is refused, a format that is guessed from a header, a base that a
guest writes to. Without GUESTs it draws those of all guests.

Examples:
  chainfix host tree
  chainfix host tree web db
  chainfix host tree --predict 11.3 | less

Exit status:
  0  done
  2  the command line is wrong
  4  libvirt or the folder cannot be read, or writing failed
`

const whoDescription = `
Says which guests stand on an image, write to it or name it otherwise: in their
definitions, in the XML that they run with, or in snapshots, checkpoints and
saved states. IMAGE is a path, or a URI as --trust takes it. A path is compared
by the file that it leads to; an image that is not there by its name.

Where a definition or an image cannot be read, or a chain is refused, nobody
can say that the image is free: the answer is "cannot be known", and why. Only
status 0 means that no guest of this libvirt uses it. Other hosts, the libvirts
of users, and images that no guest has are not looked at.

Examples:
  chainfix host who /images/base.qcow2
  chainfix host who /images/old.qcow2 && rm /images/old.qcow2
  chainfix host who --output json nbd://storage:10809/base | jq '.uses[].guest'

Exit status:
  0  nobody uses it
  1  somebody uses it
  2  the command line is wrong
  3  it cannot be known
  4  libvirt or the folder cannot be read, or writing failed
`

const applyDescription = `
Gives libvirt new definitions in which every chain is explicit, and keeps the
old ones in a folder. Running guests go on; their next start is from the new
definition. Without GUESTs it takes those that need it, for the libvirt that
runs or those of --predict, or with --all every one. Guests that would see other
bytes than today, or that somebody should look at first, it takes only by name.

Standard output has a line for each guest that was changed, and last the folder
of the run; it is empty if there was nothing to change. Standard error says what
was done, why guests were left, and how to take it back.

On a terminal it shows the changes and asks first; not with --yes, nor where
standard input, output or error is not a terminal.

Examples:
  chainfix host apply --dry-run
  chainfix host apply
  chainfix host apply --yes web db

Exit status:
  0  everything that it took on is done, or there was nothing to do
  2  the command line is wrong
  3  guests were left out: they are refused, or not to be changed now, or only
     by name; or the answer was no
  4  it could not finish
`

const pageDescription = `
Reads reports that "chainfix host scan --output json" has printed, or the one on
many hosts that the Ansible role writes, and prints one HTML page on all of
these hosts. Without FILE, or for "-", it reads standard input. A page on one
host is what "chainfix host scan --output html" prints.

Examples:
  chainfix host page --out hypervisors.html hypervisor1.json hypervisor2.json
  chainfix host page < chainfix-report.json > hypervisors.html

Exit status:
  0  done
  2  the command line is wrong
  4  a report cannot be read, or writing failed
`

const runsDescription = `
Lists the runs of apply that are in the state folder, those of every libvirt. No
libvirt is asked.

Examples:
  chainfix host runs
  chainfix host runs --output json | jq '.runs[0].run'

Exit status:
  0  done
  2  the command line is wrong
  4  the runs cannot be read, or writing failed
`

const rollbackDescription = `
Gives each guest that a run of apply has changed its old definition again,
unless somebody has changed it since. RUN is the folder of a run, as apply
prints it last, or its name as in "chainfix host runs". Without RUN it is the
newest one that changed guests of this libvirt and is not taken back.

Examples:
  chainfix host rollback --dry-run
  chainfix host rollback
  chainfix host rollback /var/lib/chainfix/20260102T030405Z-abcdef

Exit status:
  0  done, or nothing to do
  2  the command line is wrong
  3  guests were left as they are
  4  it could not finish
`

const hookDescription = `
Runs as libvirt's hook for QEMU guests, with the guest's XML on standard
input. It fails for a guest that starts with an explicit chain which contradicts
the headers of its images, so that it would see wrong bytes. For one that
arrives, or is restored, it prints the XML with every chain explicit, if it can.
The last four words are libvirt's, and never flags.

The script is asked in every operation. A failure in others than these kills
guests, and one in restore may cost the saved state.

Examples: what it says of a guest, and the whole of /etc/libvirt/hooks/qemu.
  virsh dumpxml --inactive web | chainfix hook web prepare begin -

  #!/bin/sh
  status=0
  case "$2" in
  migrate | restore | prepare | start)
    /usr/bin/chainfix hook --log /var/log/chainfix-hook.log "$@" || status=$? ;;
  esac
  [ "$2" = restore ] || exit $status

Exit status:
  0  done, or nothing to do, or left as it is
  2  the command line is wrong
  3  the guest would see wrong bytes; with --verify: a chain is refused
  4  with --verify: the XML cannot be read
`

const completionDescription = `
The shell then completes commands, flags and their values, guests, runs and
files. It asks chainfix at each press of the key, and evaluates nothing that was
typed. Packages install the scripts; without one, try them in the shell at hand:

Examples:
  source <(chainfix completion bash)
  chainfix completion zsh > ~/.zfunc/_chainfix    # a folder of fpath
  chainfix completion fish | source

Exit status:
  0  done
  2  there is no script for the shell
  4  writing failed
`
