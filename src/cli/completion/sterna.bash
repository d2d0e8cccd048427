# bash completion for sterna: `source <(sterna completion bash)`, or the file as bash-completion finds it.
# The program itself knows what may come: `sterna complete` prints it, one word a line.
_sterna() {
  COMPREPLY=()
  # bash has split the line at "=" and ":" too; words of the program end at blanks.
  local -a words
  local typed=${COMP_LINE:0:COMP_POINT} word rest line
  read -ra words <<<"$typed"
  [[ $typed == *[[:blank:]] ]] && words+=("")
  word=${words[-1]}
  rest=${COMP_WORDS[COMP_CWORD]}
  [[ $rest == [=:] ]] && rest=""
  local kept=${word%"$rest"} # is there already, and stays
  while IFS= read -r line; do
    case $line in
      :files) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$rest") && compopt -o filenames 2>/dev/null ;;
      :folders) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$rest") && compopt -o filenames 2>/dev/null ;;
      *) line=${line%%$'\t'*} && COMPREPLY+=("${line#"$kept"}") ;;
    esac
  done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _sterna sterna
