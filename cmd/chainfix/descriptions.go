package main

// The descriptions of the commands in --help, in lines of 80 columns.

const appDescription = `If an overlay does not record the format of its backing image, libvirt refuses
to start the guest, or guesses the format. chainfix reads the image headers,
determines each format from a source that can be trusted, and writes the full
chain into the guest's XML; or it refuses and says why. Without a command it
runs fix.

Examples:
  virsh dumpxml --inactive --security-info web |
    chainfix | virsh define /dev/stdin
  chainfix check web.xml       what is wrong, and what fix would do
  chainfix host scan           the same for all guests of this host
  chainfix host apply          fix them, and keep the old definitions
  chainfix explain CODE        what a finding means
  chainfix demo                a sample guest, broken and fixed
  chainfix version

Exit status:
  0  done, or nothing to do
  1  -l, -d, check, host scan: something would change
  2  the command line is wrong
  3  refused, or guests were skipped
  4  reading or writing failed
`

const fixDescription = `
Reads a domain XML, makes every backing chain in it explicit, and prints the
document. The rest of the XML stays byte for byte as it was. If a chain is
refused, nothing is printed and standard error says why. Without FILE, or with
"-", it reads standard input. With -l, -d or -w it takes several files.

Examples:
  virsh dumpxml --inactive --security-info web |
    chainfix | virsh define /dev/stdin
  chainfix fix -d web.xml                          what would change
  chainfix fix -l *.xml                            which files would
  chainfix fix -w --trust /img/base.img=qcow2 *.xml

Exit status:
  0  done, or nothing to do
  1  with -l or -d: something would change
  2  the command line is wrong
  3  refused: a chain cannot be made explicit safely
  4  the input cannot be read or is not a domain XML, or writing failed
`

const stripDescription = `
Removes every explicit chain from a domain XML, whether fix wrote it or not. It
reads no images. Without FILE, or with "-", it reads standard input. With -l, -d
or -w it takes several files.

Examples:
  chainfix strip web.xml > old.xml
  chainfix strip -w *.xml

Exit status:
  0  done, or nothing to do
  1  with -l or -d: something would change
  2  the command line is wrong
  3  refused: the document can be read in two ways
  4  the input cannot be read or is not a domain XML, or writing failed
`

const checkDescription = `
Reports what fix would do to each document, disk and layer, and why. Without
FILE, or with "-", it reads standard input. Findings go to standard error.

Examples:
  chainfix check /etc/libvirt/qemu/*.xml
  virsh dumpxml --inactive web | chainfix check
  chainfix check --output json web.xml | jq '.documents[].verdict'

Exit status:
  0  every chain is explicit
  1  fix would change something
  2  the command line is wrong
  3  a chain is refused
  4  a document cannot be read or is not a domain XML, or writing failed
`

const probeDescription = `
Shows what an image's header claims: its format, its size, and the images that
it names. It opens none of those and applies no rule: an image that a guest
wrote to can claim anything.

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
Explains the finding CODE, with or without the brackets in which messages print
it. Without CODE it lists all codes.

Examples:
  chainfix explain
  chainfix explain probed-backing

Exit status:
  0  done
  2  CODE is unknown
  4  writing failed
`

const schemaDescription = `
Prints the JSON Schema (draft 2020-12) of a command's --output json, of the
hook's log, or of the policy file. Without NAME it lists them.

Examples:
  chainfix schema
  chainfix schema probe > probe.schema.json

Exit status:
  0  done
  2  NAME is unknown
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
Scans, fixes and rolls back the guests that libvirt defines on this machine.

Examples:
  chainfix host scan
  chainfix host apply --dry-run
  chainfix host apply
  chainfix host rollback

Exit status:
  0  done, or nothing to do
  1  of scan: apply would change something
  2  the command line is wrong
  3  guests are refused, or were skipped
  4  libvirt cannot be asked, or reading or writing failed
`

const scanDescription = `
Reports what you have to decide and what is wrong, each cause once: guests that
will not start, that start and read the wrong data, or that start by a guess. It
changes nothing. Without GUEST it scans all guests. Definitions come from the
libvirt of this machine or, with --from, from a folder. If an answer or a hint
is a flag, such as --trust, give it to host apply.

A guest is explicit or fixable, needs a decision, or cannot be fixed. With -v
each guest has a line, followed by its findings.

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
Draws the backing chains: each base once, its overlays below it, and the guests'
disks at the ends. Three or more images that look alike are drawn as one, with
their number. Problems are marked: an image that does not exist, one whose chain
is refused, a format guessed from a header, a base that a guest writes to.
Without GUEST it draws the chains of all guests.

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
Reports which guests use an image, as a disk, as a backing image or otherwise:
in their definitions, in the XML that they run with, or in snapshots,
checkpoints and saved states. IMAGE is a path, or a URI as for --trust. A path
is compared by the file that it leads to, or by name if that does not exist.

If a definition or an image cannot be read, or a chain is refused, the image may
be in use: the answer is "cannot tell", with the reason. Only status 0 means
that no guest of this libvirt uses it. Other hosts, users' own libvirts, and
images that no guest has are not checked.

Examples:
  chainfix host who /images/base.qcow2
  chainfix host who /images/old.qcow2 && rm /images/old.qcow2
  chainfix host who --output json nbd://storage:10809/base | jq '.uses[].guest'

Exit status:
  0  no guest uses it
  1  a guest uses it
  2  the command line is wrong
  3  cannot tell
  4  libvirt or the folder cannot be read, or writing failed
`

const applyDescription = `
Redefines guests in libvirt with every chain explicit, and keeps the old
definitions in a folder. Running guests keep running; their next start uses the
new definition. Without GUEST it changes the guests that need it, on the running
libvirt or those of --predict, or with --all every guest. A guest that would
read other bytes than today, or that you should check first, it changes only
by name.

Standard output has a line for each changed guest, then the folder of the run;
it is empty if nothing changed. Standard error says what was done, why guests
were skipped, and how to undo it.

On a terminal it shows the changes and asks first. It does not ask with --yes,
or if standard input, output or error is not a terminal.

Examples:
  chainfix host apply --dry-run
  chainfix host apply
  chainfix host apply --yes web db

Exit status:
  0  done, or nothing to do
  2  the command line is wrong
  3  guests were skipped: they are refused, cannot be changed now, or only by
     name; or the change was not confirmed
  4  it could not finish
`

const pageDescription = `
Reads reports of "chainfix host scan --output json", or the report on many hosts
that the Ansible role writes, and prints one HTML page about all hosts. Without
FILE, or with "-", it reads standard input. For a single host use "chainfix host
scan --output html".

Examples:
  chainfix host page --out hypervisors.html hypervisor1.json hypervisor2.json
  chainfix host page < chainfix-report.json > hypervisors.html

Exit status:
  0  done
  2  the command line is wrong
  4  a report cannot be read, or writing failed
`

const runsDescription = `
Lists the runs of apply in the state folder, for every libvirt, without asking
one.

Examples:
  chainfix host runs
  chainfix host runs --output json | jq '.runs[0].run'

Exit status:
  0  done
  2  the command line is wrong
  4  the runs cannot be read, or writing failed
`

const rollbackDescription = `
Restores the old definition of each guest that a run of apply changed, unless
the guest was changed since. RUN is the folder of a run, the last line that
apply printed, or its name in "chainfix host runs". Without RUN it rolls back
the newest run that changed guests of this libvirt and is not rolled back yet.

Examples:
  chainfix host rollback --dry-run
  chainfix host rollback
  chainfix host rollback /var/lib/chainfix/20260102T030405Z-abcdef

Exit status:
  0  done, or nothing to do
  2  the command line is wrong
  3  guests were left unchanged
  4  it could not finish
`

const hookDescription = `
Runs as libvirt's hook for QEMU guests, with the guest's XML on standard input.
When a guest starts, the hook fails if its explicit chain contradicts the image
headers, because the guest would read wrong bytes. When a guest migrates in or
is restored, the hook prints the XML with every chain explicit, if it can. The
last four words come from libvirt and are never flags.

libvirt runs the script for every operation. A failure in any that the script
does not list kills guests, and one in restore may cost the saved state.

Examples: what it reports on a guest, and a complete /etc/libvirt/hooks/qemu.
  virsh dumpxml --inactive web | chainfix hook web prepare begin -

  #!/bin/sh
  status=0
  case "$2" in
  migrate | restore | prepare | start)
    /usr/bin/chainfix hook --log /var/log/chainfix-hook.log "$@" || status=$? ;;
  esac
  [ "$2" = restore ] || exit $status

Exit status:
  0  done, nothing to do, or left unchanged
  2  the command line is wrong
  3  the guest would read wrong bytes; with --verify: a chain is refused
  4  with --verify: the XML cannot be read
`

const completionDescription = `
With this script the shell completes commands, flags and their values, guests,
runs and files. It asks chainfix on each press of Tab, and evaluates nothing
that was typed. Packages install the scripts; without a package, try one in your
shell:

Examples:
  source <(chainfix completion bash)
  chainfix completion zsh > ~/.zfunc/_chainfix    # a folder of fpath
  chainfix completion fish | source

Exit status:
  0  done
  2  the shell is not supported
  4  writing failed
`
