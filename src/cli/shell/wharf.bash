# bash completion for wharf, as `wharf completion bash` prints it.
# To have it in one shell: source <(wharf completion bash)

# The rest of the line, $1, is a command of its own; completed as that would be.
_wharf_command()
{
    local head=${COMP_LINE:0:COMP_POINT} at=0 i=0 gap rest
    head=${head%"$1"}
    # Which of bash's words begins there: it has cut them at other places than wharf.
    while ((i < COMP_CWORD)); do
        rest=${COMP_LINE:at}
        gap=${rest%%[![:space:]]*}
        ((at + ${#gap} >= ${#head})) && break
        ((at += ${#gap} + ${#COMP_WORDS[i]}, i += 1))
    done
    if ((i == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[i]}")
    elif declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$i"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$i"
    else
        compopt -o default
    fi
}

_wharf()
{
    local kind text
    COMPREPLY=()
    while IFS=$'\t' read -r kind text; do
        case $kind in
            word) COMPREPLY+=("$text") ;;
            bare) COMPREPLY+=("$text") && compopt -o nospace ;;
            file) compopt -o default ;;
            folder) compopt -o dirnames ;;
            command) _wharf_command "$text" ;;
        esac
    done < <(command wharf __complete bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}

complete -F _wharf wharf
