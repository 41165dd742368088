# Completion of weir's commands for bash. Installed, or: source <(weir completion bash)

_weir()
{
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words= i
    local commands="run check route diff import demo completion help"

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "$commands --help --version" -- "$current"))
        return
    fi
    case ${COMP_WORDS[1]}:$before in
        run:--log-level) words="error warn info debug" ;;
        route:-X | route:--request) words="GET HEAD POST PUT DELETE OPTIONS PATCH PURGE" ;;
        completion:*) words="bash fish zsh" ;;
        help:*) words=$commands ;;
        route:-H | route:--header | route:-w | route:--wiki | route:-d | route:--datacenter) return ;;
        route:--client | route:--router | diff:--host | diff:-r | diff:--router) return ;;
        run:-w | run:--workers | demo:-p | demo:--port | demo:-s | demo:--seconds) return ;;
    esac
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        return
    fi
    case ${COMP_WORDS[1]} in
        run) words="--config --workers --log-level --help" ;;
        check) words="--config --tests --coverage --strict --no-certificates --json --quiet --help" ;;
        route)
            words="--config --request --header --wiki --datacenter --http1.0 --client --trusted --untrusted"
            words+=" --router --verbose --json --stdin --help"
            ;;
        diff) words="--log --host --router --all --json --help" ;;
        import) words="--wikis --help" ;;
        demo) words="--port --seconds --quiet --write --help" ;;
    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        return
    fi
    while IFS= read -r i; do
        COMPREPLY+=("$i")
    done < <(compgen -f -- "$current")
    compopt -o filenames 2>/dev/null
}
complete -F _weir weir
