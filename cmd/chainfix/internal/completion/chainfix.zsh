#compdef chainfix
# Completion of chainfix for zsh. The program itself returns the completions;
# nothing that was typed is evaluated.

_chainfix() {
	local -a reply values shown
	local line kind
	reply=("${(@f)$(command chainfix __complete zsh "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	kind=$reply[1]
	for line in "${(@)reply[2,-1]}"; do
		values+=("${line%%$'\t'*}")
		shown+=("${line/$'\t'/  -- }")
	done
	case $kind in
	files | folders)
		# After the flag that they belong to.
		[[ $PREFIX == -*=* ]] && compset -P 1 '*='
		if [[ $kind == files ]]; then _files; else _files -/; fi
		;;
	open) compadd -S '' -l -d shown -a -- values ;;
	words) compadd -l -d shown -a -- values ;;
	esac
}

# As a file in fpath this is the function, on its first call; otherwise it is sourced.
if [[ $funcstack[1] == _chainfix ]]; then
	_chainfix "$@"
else
	compdef _chainfix chainfix
fi
