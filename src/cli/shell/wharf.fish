# fish completion for wharf, as `wharf completion fish` prints it.
# To have it in one shell: wharf completion fish | source

function __wharf_complete
    # Newer ones want -x for what older ones do without.
    set -l before (commandline -xpc 2>/dev/null; or commandline -opc)
    set -l typed (commandline -ct)
    command wharf __complete fish $before[2..] "$typed" 2>/dev/null | while read -l -d \t kind text about
        switch $kind
            case word bare
                # fish puts no space behind what ends in a colon.
                printf '%s\t%s\n' $text $about
            case file folder
                # Of --option=value, the value alone is looked for, and what is found is the whole.
                set -l option (string match -r '^-[^=]*=' -- "$typed")
                set -l value (string replace -r '^-[^=]*=' '' -- "$typed")
                set -l found (complete -C "__wharf_no_such_command $value" | string replace -r '\t.*' '')
                test $kind = folder; and set found (string match '*/' -- $found)
                set -q found[1]; and printf '%s\n' "$option"$found
            case command
                complete -C (string join ' ' -- (string escape -- $before[(math $text + 2)..]) "$typed")
        end
    end
end

complete -c wharf -f -a '(__wharf_complete)'
