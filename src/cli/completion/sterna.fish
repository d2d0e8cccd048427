# fish completion for sterna: `sterna completion fish | source`, or this file in a folder of $fish_complete_path.
# The program itself knows what may come: `sterna complete` prints it, one word a line, its help behind a tab.
function __sterna_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    for line in ($before[1] complete -- $before[2..] "$word" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$word"
            case :folders
                __fish_complete_directories "$word"
            case '*'
                echo $line
        end
    end
end
complete -c sterna -f -a '(__sterna_complete)'
