#!/bin/sh
# The woven book: it loses no line of the header, its links lead somewhere, and each
# chapter of the implementation has enough prose.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
cd "$root" || exit 1
book=$work/docs

# lines KIND: the header's lines of prose or of code; blank ones, which part the blocks, not.
lines() {
    awk -v kind="$1" '$0 == "/*" { prose = 1; next } $0 == "*/" { prose = 0; next }
        /[^ ]/ && prose == (kind == "prose")' densenet.h
}
# The same from the book, which opens each piece of code with its place in the header.
woven_lines() {
    awk -v kind="$1" '/^```c densenet.h:/ { code = 1; next } code && $0 == "```" { code = 0; next }
        !code && /^## / { contents = $0 == "## Contents" }
        !contents && /[^ ]/ && code == (kind == "code")' "$book/densenet.md"
}
same() {
    lines "$1" >"$work/header.$1"
    woven_lines "$1" >"$work/book.$1"
    [ -s "$work/header.$1" ] && diff "$work/header.$1" "$work/book.$1"
}
places() {
    awk 'FNR == NR { header[FNR] = $0; next }
        place { if ($0 != header[place]) { print place ": " $0; wrong = 1 } place = 0 }
        /^```c densenet.h:/ { split($2, part, ":"); place = part[2] }
        END { exit wrong }' densenet.h "$book/densenet.md"
}
stray() {
    awk '$0 == "/*" { if (prose) { print "opened twice: " NR; bad = 1 } prose = 1 }
        $0 == "*/" { if (!prose) { print "closed twice: " NR; bad = 1 } prose = 0 }
        END { exit bad || prose }' densenet.h
}

docs/weave densenet.h "$book" >"$work/woven" 2>&1
ok $? "docs/weave weaves densenet.h"
sed 's/^/# /' "$work/woven"
check "every block of prose is opened and closed once" stray
check "no line of code is lost" same code
check "no line of prose is lost" same prose
check "pieces of code begin where they say" places

printf '/*\n# Title\n*/\nint x;\n/*\nMore\n' >"$work/open.h"
check "prose that does not end is refused" fails docs/weave "$work/open.h" "$work/open"
docs/weave "$work/open.h" "$work/open" >"$work/said" 2>&1
check "and its line is named" says "$work/said" "open.h:5: "

# Prose by chapter: "percent lines title".
awk '/^## [0-9]+\. / && prose { if (title) print int(100 * text / all + 0.5), all, title
        title = $0; sub("^## ", "", title); all = text = 1 }
    $0 == "/*" { prose = 1 } { all++; text += prose } $0 == "*/" { prose = 0 }
    END { print int(100 * text / all + 0.5), all, title }' densenet.h >"$work/shares"
while read -r percent all title; do
    echo "# $title: $percent % of $all lines are prose"
    check "$title has enough prose" [ "$percent" -ge 25 ]
done <"$work/shares"
whole=$(awk '$0 == "/*" { prose = 1 } { text += prose } $0 == "*/" { prose = 0 }
    END { print int(100 * text / NR + 0.5) }' densenet.h)
echo "# the whole header: $whole % of the lines are prose"
check "the whole header has enough prose" [ "$whole" -ge 35 ]
check "and enough code" [ "$whole" -le 50 ]

named() {
    missing=$(lines prose | grep -o 'tests/[A-Za-z0-9_/.]*[A-Za-z0-9_]' | sort -u |
        while read -r name; do [ -e "$name" ] || echo "$name"; done)
    [ -z "$missing" ] || { echo "$missing"; return 1; }
}
check "every test that the prose names is there" named

# Without pandoc: a PATH that has perl alone.
mkdir "$work/bin"
ln -s "$(command -v perl)" "$(command -v env)" "$work/bin"
PATH=$work/bin docs/weave densenet.h "$work/plain" >"$work/said" 2>&1
ok $? "docs/weave does its work without pandoc"
check "and says what to install" says "$work/said" "install pandoc"
check "and makes the same Markdown" cmp "$work/plain/densenet.md" "$book/densenet.md"

# The pages. links: every link leads to a page and a place, every place has one name.
links() {
    perl -we '
        my (%places, @links);
        for my $file (@ARGV) {
            open my $page, "<", $file or die "$file: $!";
            my $text = do { local $/; <$page> };
            (my $name = $file) =~ s{.*/}{};
            $places{$name} = 1;
            while ($text =~ /\bid="([^"]*)"/g) {
                die "$name: two places are called $1\n" if $places{"$name#$1"}++;
            }
            while ($text =~ /\b(?:href|src)="([^"]*)"/g) { push @links, [$name, $1]; }
        }
        my $wrong = 0;
        for (@links) {
            my ($name, $to) = @$_;
            next if $to eq "style.css";
            next if $places{$to =~ /^#/ ? "$name$to" : $to};
            print "$name: nothing is at $to\n";
            $wrong++;
        }
        print scalar(@links), " links\n";
        exit($wrong || @links < 100);
    ' "$book"/*.html
}
alone() { ! grep -nE '<script|https?://[^" ]*\.(css|js|woff2?|png|svg)' "$book"/*.html; }
formulas() {
    count=$(cat "$book"/*.html | grep -o '<math display="block"' | wc -l)
    wanted=$(($(lines prose | grep -o '\$\$' | wc -l) / 2))
    echo "$count formulas on the pages, $wanted in the header"
    [ "$count" -gt 0 ] && [ "$count" -eq "$wanted" ]
}
if have pandoc; then
    check "every link leads to a page and a place in it" links
    check "every displayed formula is MathML" formulas
    check "the pages need no script and nothing from elsewhere" alone
    check "pandoc has nothing to complain of" fails grep -i warning "$work/woven"
else
    skip 4 "no pandoc (Debian package pandoc)"
fi
done_testing
