#compdef sterna
# zsh completion for sterna: `source <(sterna completion zsh)`, or this file as _sterna in a folder of $fpath.
# The program itself knows what may come: `sterna complete` prints it, one word a line.
_sterna() {
  local -a candidates
  local line help
  for line in "${(@f)$(${words[1]} complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) _files ;;
      :folders) _files -/ ;;
      *)
        help=${line#*$'\t'}
        line=${line%%$'\t'*}
        candidates+=("${line//:/\\:}:$help")
        ;;
    esac
  done
  (( $#candidates )) && _describe sterna candidates
}
if [[ $funcstack[1] == _sterna ]]; then
  _sterna "$@"
else
  compdef _sterna sterna
fi
