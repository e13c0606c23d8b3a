# Completion of chainfix for fish. The program itself returns the completions;
# nothing that was typed is evaluated.

function __chainfix_complete
    set -l current (commandline -ct)
    # An open quote or an incomplete name stays as typed.
    set -l word (string unescape -- "$current"; or printf %s "$current")
    set -l reply (command chainfix __complete fish (commandline -opc) "$word" 2>/dev/null)
    # After the flag that they belong to.
    set -l flag (string match -r -- '^-[^=]*=' "$word")
    set -l path (string replace -r -- '^-[^=]*=' '' "$word")
    switch "$reply[1]"
        case files
            printf '%s\n' "$flag"(__fish_complete_path "$path")
        case folders
            printf '%s\n' "$flag"(__fish_complete_directories "$path" '')
        case '*'
            printf '%s\n' $reply[2..-1]
    end
end

complete -c chainfix -e
complete -c chainfix -f -a '(__chainfix_complete)'
