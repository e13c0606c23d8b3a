# Completion of chainfix for bash (4.4 or newer). The program itself returns the completions;
# nothing that was typed is evaluated.

_chainfix() {
	local -a reply
	mapfile -t reply < <(command chainfix __complete bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
	COMPREPLY=("${reply[@]:1}")
	case ${reply[0]-} in
	open) compopt -o nospace ;;
	files) compopt -o default ;;
	folders) compopt -o dirnames ;;
	esac
}

complete -F _chainfix chainfix
