# Every verb, and every option that a verb's --help knows, is in the manual page, in that verb's section.
. "$2/tests/cli/common"

page=$SOURCE/docs/fenwicks.1
for verb in convert inspect recipes train ablate eval predict plot bench doctor; do
    sed -n "/^\.SS fenwicks $verb/,/^\.S[SH] /p" "$page" > section
    [ -s section ] || die "no section for $verb"
    run 0 $verb --help
    usage=$(head -n 1 out | sed 's/^usage: //')
    sed 's/\\-/-/g' section > plain
    grep -qF -e "$usage" plain || die "the page has another usage line than: $usage"
    awk 'after { print; after = 0 } /^\.TP/ { after = 1 }' plain | tr -d '",' > entries
    for option in $(sed -n 's/^  \(-[^ ]*\).*/\1/p' out | tr ',' ' '); do
        [ "$option" = --help ] && continue # said once for all
        grep -qE -e "^\.BI? (.* )?$option( |\$)" entries || die "$verb $option is not in the page"
    done
    # and nothing that the command does not know
    for option in $(grep -oE -e '--[a-z-]+' entries); do
        grep -qE -e "(^| |,)$option( |\$)" out || die "the page has $verb $option, the command does not"
    done
done

# The page formats without complaints.
if command -v groff > /dev/null; then
    groff -man -Tutf8 -ww "$page" > formatted 2> complaints || die "groff fails"
    [ ! -s complaints ] || die "groff: $(head -n 3 complaints)"
fi
exit 0
