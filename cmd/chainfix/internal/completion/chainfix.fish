# Completion of chainfix for fish. The program itself knows what may stand where; nothing
# that was typed is evaluated.

function __chainfix_complete
    set -l current (commandline -ct)
    # An open quote, and a name that is not complete, stay as they are typed.
    set -l word (string unescape -- "$current"; or printf %s "$current")
    set -l reply (command chainfix __complete fish (commandline -opc) "$word" 2>/dev/null)
    # Behind the flag that they are for.
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
